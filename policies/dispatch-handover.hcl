# What a run may do at Vault by its own identity, where `secrets.vault.workload_identity` is set: read the one place that bears the id of
# its allocation, at which the dispatcher puts down its wrapping token.
#
# MOUNT_ACCESSOR stands for the accessor of the auth method at which runs log in (`vault auth list`); `dispatch policies apply` puts it in.
# The role's `user_claim` makes the allocation's id the name of the alias.
path "kv/data/disinto/handover/{{identity.entity.aliases.MOUNT_ACCESSOR.name}}" {
  capabilities = ["read"]
}
