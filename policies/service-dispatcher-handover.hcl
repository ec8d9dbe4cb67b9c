
# Added where `secrets.vault.workload_identity` is set: wrapping tokens are put down for runs and removed, and never read back.
path "kv/data/disinto/handover/*" {
  capabilities = ["create", "update"]
}
path "kv/metadata/disinto/handover/*" {
  capabilities = ["delete"]
}

# Whether only the run itself can read what is put down for it.
path "auth/jwt-nomad/role/dispatch-run" {
  capabilities = ["read"]
}
path "sys/policies/acl/dispatch-handover" {
  capabilities = ["read"]
}
