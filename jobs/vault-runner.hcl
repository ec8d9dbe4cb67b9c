# The job that runs approved actions. `dispatch jobs apply` registers it with the variables that the config gives; each run is one
# dispatch of it. By hand: `nomad job validate -var namespace=… jobs/vault-runner.hcl`.
#
# Nothing in a jobspec stops every second execution: a node purge, a reboot of the host, `alloc stop` or a container removed behind
# Nomad's back starts the task again (seen on 1.11.3). What is set here stops those that can be stopped; the fence in the run stops
# the formula in the rest.

variable "job_id" {
  type    = string
  default = "vault-runner"
}

variable "namespace" {
  type    = string
  default = "dispatch"
}

variable "datacenters" {
  type    = list(string)
  default = ["*"]
}

variable "node_pool" {
  type    = string
  default = "default"
}

variable "driver" {
  type        = string
  description = "docker, exec or raw_exec"
  default     = "docker"
}

variable "image" {
  type        = string
  description = "for docker; by digest in production"
  default     = "dispatch-runner:local"
}

variable "command" {
  type        = string
  description = "the path of the dispatch binary, in the image or on the client"
  default     = "/usr/local/bin/dispatch"
}

variable "user" {
  type        = string
  description = "docker: uid:gid; exec and raw_exec: a name; not set: 10001 in a container, else the driver's own choice"
  default     = ""
}

variable "identity" {
  type        = string
  description = "where a run finds the age identity that opens its payload; not set: payloads are not encrypted"
  default     = ""
}

variable "audience" {
  type        = string
  description = "for whom a run's own identity is made out, by which it takes its grant; not set: it has none, and grants come in payloads"
  default     = ""
}

variable "network_mode" {
  type        = string
  description = "for docker; `none` cuts the formula off from everything"
  default     = "bridge"
}

variable "volumes" {
  type        = map(string)
  description = "host volumes of the clients and where each is mounted, read-only"
  default     = {}
}

variable "cpu" {
  type        = number
  description = "MHz"
  default     = 200
}

variable "memory" {
  type        = number
  description = "MB; raw_exec does not hold a task to it"
  default     = 512
}

variable "disk" {
  type        = number
  description = "MB for the run's directory and its log"
  default     = 500
}

variable "pids" {
  type        = number
  description = "for docker"
  default     = 256
}

variable "kill_timeout" {
  type        = string
  description = "longer than limits.grace_seconds; a client cuts it to its own max_kill_timeout, 30s by default"
  default     = "30s"
}

variable "spec" {
  type        = string
  description = "a digest of this file and its variables, set by `dispatch jobs apply`: how drift is noticed"
  default     = "by-hand"
}

job "vault-runner" {
  id          = var.job_id
  name        = var.job_id
  namespace   = var.namespace
  datacenters = var.datacenters
  node_pool   = var.node_pool
  type        = "batch"

  # Children inherit it.
  meta {
    dispatch_spec = var.spec
  }

  parameterized {
    payload       = "required"
    meta_required = ["run_id"]
    meta_optional = ["launch_key", "attempt", "action_sha256", "instance"]
  }

  group "run" {
    restart {
      attempts = 0
      mode     = "fail"
    }

    reschedule {
      attempts  = 0
      unlimited = false
    }

    # `replace = false` does nothing without a long `lost_after`: a client that is away for longer is "lost", and the task runs again
    # elsewhere. The dispatcher ends such a run at the run's own deadline.
    disconnect {
      lost_after = "8760h"
      replace    = false
    }

    # Carries `alloc/data`, where the fence's marker is, over to an allocation that replaces this one, as `alloc stop` makes (seen on
    # 1.11.3: either of the two does so on one client; `migrate` also from one client to another).
    ephemeral_disk {
      size    = var.disk
      sticky  = true
      migrate = true
    }

    # Also what places the run on a client that has them.
    dynamic "volume" {
      for_each = var.volumes
      labels   = [volume.key]

      content {
        type      = "host"
        source    = volume.key
        read_only = true
      }
    }

    task "runner" {
      driver       = var.driver
      user         = var.user == "" && var.driver == "docker" ? "10001:10001" : var.user
      kill_signal  = "SIGTERM"
      kill_timeout = var.kill_timeout

      dynamic "config" {
        for_each = var.driver == "docker" ? [1] : []

        content {
          image           = var.image
          entrypoint      = [var.command]
          args            = concat(local.arguments, ["--linger"])
          readonly_rootfs = true
          privileged      = false
          cap_drop        = ["all"]
          security_opt    = ["no-new-privileges"]
          pids_limit      = var.pids
          network_mode    = var.network_mode
          ipc_mode        = "private"
          init            = false

          # Docker's default, json-file, loses and repeats lines of a busy log. With any, the last lines before the end may be lost,
          # for which the runner lingers.
          logging {
            type = "local"
          }

          # Comes up noexec, nosuid, nodev. The runner works in the task's own directory.
          mount {
            type   = "tmpfs"
            target = "/tmp"

            tmpfs_options {
              size = 67108864
            }
          }
        }
      }

      dynamic "config" {
        for_each = var.driver == "docker" ? [] : [1]

        content {
          command = var.command
          args    = local.arguments
          # Without it a task of another user than root keeps 13 capabilities. raw_exec knows no such key.
          cap_drop = var.driver == "exec" ? ["all"] : null
        }
      }

      # raw_exec mounts nothing: there the volume only places the run, and the formula is told the directory on the client.
      dynamic "volume_mount" {
        for_each = var.driver == "raw_exec" ? {} : var.volumes

        content {
          volume      = volume_mount.key
          destination = volume_mount.value
          read_only   = true
        }
      }

      # In `../secrets/nomad_dispatch.jwt` and not in the environment. Nomad makes it anew at half its life.
      dynamic "identity" {
        for_each = var.audience == "" ? [] : [var.audience]

        content {
          name = "dispatch"
          aud  = [identity.value]
          ttl  = "1h"
          file = true
          env  = false
        }
      }

      # A tmpfs, and Nomad's file API does not read it.
      dispatch_payload {
        file = "../secrets/envelope.json"
      }

      logs {
        max_files     = 10
        max_file_size = 10
      }

      resources {
        cpu    = var.cpu
        memory = var.memory
      }
    }
  }
}

locals {
  # `compact` leaves out what is not set.
  arguments = compact([
    "runner",
    var.identity == "" ? "" : "--identity", var.identity,
    var.audience == "" ? "" : "--workload-identity", var.audience == "" ? "" : "${NOMAD_SECRETS_DIR}/nomad_dispatch.jwt",
    "--envelope", "${NOMAD_SECRETS_DIR}/envelope.json",
    "--workdir", "${NOMAD_TASK_DIR}/run",
    "--fence", "${NOMAD_ALLOC_DIR}/data/fence",
    "--events", "${NOMAD_ALLOC_DIR}/data/events.ndjson",
  ])
}
