# A run that names NPM_TOKEN may read it, and nothing else.
path "kv/data/disinto/runner/NPM_TOKEN" {
  capabilities = ["read"]
}
