# A run that names CLAWHUB_TOKEN may read it, and nothing else.
path "kv/data/disinto/runner/CLAWHUB_TOKEN" {
  capabilities = ["read"]
}
