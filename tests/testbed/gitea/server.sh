# shellcheck shell=bash disable=SC2154
# A Gitea on SQLite with one administrator. Sourced by `start`; no options.

administrator=bed-admin

# configure: the journal mode, the indexer and the queue make the first start take 1 s instead of 4; the hash is cheap, since
# tests make many users. The templates are only beside a binary that was built here; a release carries its own.
configure() {
  local static
  static="$(dirname "$TESTBED_GITEA")/static"
  cat > "$dir/app.ini" << CONFIG
$([[ $(id -u) -ne 0 ]] || echo 'I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true')
WORK_PATH = $dir/work
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = ${address##*:}
ROOT_URL = $address/
DISABLE_SSH = true
OFFLINE_MODE = true
LFS_START_SERVER = false
$([[ ! -d $static ]] || echo "STATIC_ROOT_PATH = $static")
[database]
DB_TYPE = sqlite3
SQLITE_JOURNAL_MODE = WAL
[security]
INSTALL_LOCK = true
PASSWORD_HASH_ALGO = pbkdf2\$1\$16
[service]
DISABLE_REGISTRATION = true
[mailer]
ENABLED = false
[webhook]
ALLOWED_HOST_LIST = loopback
[actions]
ENABLED = false
[indexer]
ISSUE_INDEXER_TYPE = db
[queue]
TYPE = channel
CONFIG
}

# administer: makes the administrator; prints the token, which is the last word of the answer.
administer() {
  env -i PATH="$PATH" HOME="$dir" "$TESTBED_GITEA" admin user create --config "$dir/app.ini" --admin \
    --username "$administrator" --password "$password" --email "$administrator@example.invalid" \
    --must-change-password=false --access-token --access-token-name bed --access-token-scopes all 2>> "$dir/log" |
    awk 'END { print $NF }'
}

start_server() {
  [[ -e $dir/address ]] || echo "http://127.0.0.1:$(free_port)" > "$dir/address"
  address=$(cat "$dir/address")
  [[ -e $dir/app.ini ]] || configure
  spawn "$dir" "$TESTBED_GITEA" web --config "$dir/app.ini"
  within 30 "$dir" 'Gitea is not ready' reachable "$address/api/healthz"
  [[ -e $dir/password ]] || secret > "$dir/password"
  password=$(cat "$dir/password")
  [[ -s $dir/token ]] || administer > "$dir/token"
  within 10 "$dir" "Gitea does not know its administrator's token" \
    reachable "$address/api/v1/user" "Authorization: token $(cat "$dir/token")"
  publish "$dir" FORGE_URL="$address" FORGE_TOKEN="$(cat "$dir/token")" TESTBED_FORGE_ADMIN="$administrator" \
    TESTBED_FORGE_PASSWORD="$password" TESTBED_PID="$(cut -d' ' -f1 "$dir/pid")"
}
