# A run that names DEPLOY_KEY may read it, and nothing else.
path "kv/data/disinto/runner/DEPLOY_KEY" {
  capabilities = ["read"]
}
