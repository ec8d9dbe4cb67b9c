# A run that names DOCKER_HUB_TOKEN may read it, and nothing else.
path "kv/data/disinto/runner/DOCKER_HUB_TOKEN" {
  capabilities = ["read"]
}
