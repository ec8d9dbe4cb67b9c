# A run that names CODEBERG_TOKEN may read it, and nothing else.
path "kv/data/disinto/runner/CODEBERG_TOKEN" {
  capabilities = ["read"]
}
