# The token of the operator who calls `dispatch jobs plan` and `apply`. The dispatcher itself never needs these: who may register a
# job can run anything on the clients.
#
#   nomad acl policy apply dispatch-operator policies/nomad-operator.hcl
namespace "dispatch" {
  capabilities = [
    "parse-job",    # turning the shipped jobspec into a job
    "read-job",     # validating it, and reading the registered one
    "plan-job",     # what would change
    "register-job", # changing it
  ]
}

# Registering a job that mounts a host volume needs a right on the volume too: only to read for those of runs.
host_volume "runner-*" {
  policy = "read"
}

# Those of sidecars: their cache of clones and what their agents remember are written to.
host_volume "ops-repo" {
  policy = "read"
}

host_volume "project-repos" {
  policy = "write"
}

host_volume "agent-data" {
  policy = "write"
}
