# What the dispatcher itself may do. It reads no secret of a run: it mints tokens that can, wrapped, and looks at their accessors.

# Both bounds make the wrapping header mandatory: a mint that would show the token here is refused by the server.
# An empty list of policies passes the other two rules, so it is denied by itself.
path "auth/token/create/runner" {
  capabilities        = ["update"]
  required_parameters = ["policies", "ttl"]
  allowed_parameters = {
    "policies"     = ["runner-*"]
    "ttl"          = []
    "meta"         = []
    "display_name" = []
  }
  denied_parameters = {
    "policies" = [[]]
  }
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = "300s"
}

# The fence of a run without secrets: a wrapped nonce.
path "sys/wrapping/wrap" {
  capabilities     = ["update"]
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = "300s"
}

# Proving a grant before the launch, and taking it back afterwards.
path "auth/token/lookup-accessor" {
  capabilities = ["update"]
}
path "auth/token/revoke-accessor" {
  capabilities = ["update"]
}
path "sys/capabilities-accessor" {
  capabilities = ["update"]
}

# Whether a secret is there, and not its value.
path "kv/metadata/disinto/runner/*" {
  capabilities = ["read"]
}

# Its own token.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "sys/capabilities-self" {
  capabilities = ["update"]
}
