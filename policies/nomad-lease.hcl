# For several dispatchers of which one works ([lease] in the configuration): the lock on one variable says which. The dispatcher's
# token needs this besides policies/nomad-dispatcher.hcl, and only then.
#
#   nomad acl policy apply dispatch-lease policies/nomad-lease.hcl
#   nomad acl token create -name dispatch -type client -policy dispatch-dispatcher -policy dispatch-lease
#
# `read`: who has it, and when it is free. `write`: taking, renewing and giving back the lock. The path is `lease.path`.
namespace "dispatch" {
  variables {
    path "dispatch/lease" {
      capabilities = ["read", "write"]
    }
  }
}
