# A run that names GITHUB_TOKEN may read it, and nothing else.
path "kv/data/disinto/runner/GITHUB_TOKEN" {
  capabilities = ["read"]
}
