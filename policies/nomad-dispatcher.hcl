# The token of `dispatch run`, for the namespace in which runs run and nothing else runs: whoever may read jobs there sees what is
# handed over to them, and whoever may list them can probe it.
#
#   nomad acl policy apply dispatch-dispatcher policies/nomad-dispatcher.hcl
#   nomad acl token create -name dispatch -policy dispatch-dispatcher -type client
#
# Each of these is needed; docs/nomad.md says what fails without it.
namespace "dispatch" {
  capabilities = [
    "dispatch-job",   # launching a run
    "read-job",       # reading it back, how it stands, how it ended
    "read-logs",      # following its log
    "list-jobs",      # finding it again by its key
    "deregister-job", # ending it
    # "read-fs",      # the rest of a log that Docker has lost; it also opens the directories of the runs
  ]
}

# The server's version, and nothing else that is not public.
agent {
  policy = "read"
}
