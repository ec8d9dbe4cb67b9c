# shellcheck shell=bash disable=SC2154
# A Vault with a KV version 2 at `kv` and an audit log that names accessors. Sourced by `start`.
#
#   (none)        in memory, unsealed: a fresh one at each start
#   --durable     on disk, so that it can be sealed, killed and started again; the key stands in DIR/unseal-key
#   --sealed      starts a durable one and leaves it sealed
#   --tls         a durable one that listens with TLS as well, at TESTBED_VAULT_TLS, by a CA of its own: DIR/ca.pem

root_token() { echo "X-Vault-Token: $token"; }
unsealed() { reachable "$address/v1/auth/token/lookup-self" "$(root_token)"; }

launch() {
  if [[ -e $dir/config.hcl ]]; then
    spawn "$dir" "$TESTBED_VAULT" server -config "$dir/config.hcl"
    within 20 "$dir" 'Vault does not answer' reachable "$address/v1/sys/seal-status"
  else
    spawn "$dir" "$TESTBED_VAULT" server -dev -dev-no-kv -dev-no-store-token -dev-root-token-id="$token" \
      -dev-listen-address="${address#http://}"
    within 20 "$dir" 'Vault is not ready' unsealed
  fi
}

configure_durable() {
  cat > "$dir/config.hcl" << CONFIG
storage "file" { path = "$dir/data" }
listener "tcp" {
  address     = "${address#http://}"
  tls_disable = true
}
disable_mlock = true
api_addr      = "$address"
CONFIG
}

# certify: a CA, and a certificate of it for 127.0.0.1. rustls takes no certificate of a CA for a server's.
certify() {
  local key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
  needs openssl openssl
  openssl req -x509 "${key[@]}" -keyout "$dir/ca.key" -out "$dir/ca.pem" -days 2 -subj "/CN=testbed ${dir##*/}" 2> /dev/null
  openssl req "${key[@]}" -keyout "$dir/tls.key" -out "$dir/tls.csr" -subj /CN=vault 2> /dev/null
  openssl x509 -req -in "$dir/tls.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 2 -out "$dir/tls.pem" \
    -extfile <(echo 'subjectAltName=IP:127.0.0.1') 2> /dev/null
}

configure_tls() {
  local port
  certify || die 'openssl makes no certificates'
  port=$(free_port)
  echo "https://127.0.0.1:$port" > "$dir/tls-address"
  cat >> "$dir/config.hcl" << CONFIG
listener "tcp" {
  address       = "127.0.0.1:$port"
  tls_cert_file = "$dir/tls.pem"
  tls_key_file  = "$dir/tls.key"
}
CONFIG
}

initialize() {
  local answer
  answer=$(call PUT "$address/v1/sys/init" '{"secret_shares":1,"secret_threshold":1}')
  jq -r '.keys_base64[0]' <<< "$answer" > "$dir/unseal-key"
  jq -r .root_token <<< "$answer" > "$dir/token"
}

unseal() {
  call PUT "$address/v1/sys/unseal" "{\"key\":\"$(cat "$dir/unseal-key")\"}" | jq -e '.sealed == false' > /dev/null
}

# With hmac_accessor off the log can be asked what a given grant read.
furnish() {
  call POST "$address/v1/sys/mounts/kv" '{"type":"kv","options":{"version":"2"}}' "$(root_token)"
  call PUT "$address/v1/sys/audit/file" \
    "{\"type\":\"file\",\"options\":{\"file_path\":\"$dir/audit.log\",\"hmac_accessor\":\"false\"}}" "$(root_token)"
}

start_server() {
  local fresh=yes mode=${1:-}
  [[ $mode =~ ^(--durable|--sealed|--tls|)$ ]] || die "vault: unknown option $mode"
  [[ -e $dir/address ]] && fresh=no || echo "http://127.0.0.1:$(free_port)" > "$dir/address"
  address=$(cat "$dir/address")
  [[ $fresh == no || -z $mode ]] || configure_durable
  [[ $fresh == no || $mode != --tls ]] || configure_tls
  [[ -e $dir/token ]] || secret > "$dir/token"
  token=$(cat "$dir/token")
  launch
  if [[ -e $dir/config.hcl ]]; then
    [[ -e $dir/unseal-key ]] || initialize
    token=$(cat "$dir/token")
    [[ $fresh == no && $mode == --sealed ]] || within 20 "$dir" 'Vault does not unseal' unseal
  fi
  if [[ $fresh == yes || ! -e $dir/config.hcl ]]; then
    within 20 "$dir" 'Vault has no active node' unsealed
    furnish || die "Vault refuses its KV mount or audit log (see $dir/log)"
    [[ $mode != --sealed ]] || call PUT "$address/v1/sys/seal" '' "$(root_token)"
  fi
  publish "$dir" VAULT_ADDR="$address" VAULT_TOKEN="$token" TESTBED_VAULT_AUDIT="$dir/audit.log" \
    TESTBED_VAULT_TLS="$(cat "$dir/tls-address" 2> /dev/null || true)" TESTBED_VAULT_CA="$dir/ca.pem" \
    TESTBED_UNSEAL_KEY="$(cat "$dir/unseal-key" 2> /dev/null || true)" TESTBED_PID="$(cut -d' ' -f1 "$dir/pid")"
}
