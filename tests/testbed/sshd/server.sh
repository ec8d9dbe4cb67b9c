# shellcheck shell=bash disable=SC2154
# An sshd on a high port that lets the person who runs the tests in with one key. Sourced by `start`; no options.

start_server() {
  needs sshd openssh-server
  needs ssh-keygen openssh-client
  local name
  [[ -e $dir/port ]] || free_port > "$dir/port"
  # The folder that a privileged sshd wants for its unprivileged half; Debian's service makes it at boot.
  [[ $(id -u) -ne 0 ]] || mkdir -p /run/sshd
  for name in host_key client_key; do
    [[ -e $dir/$name ]] || ssh-keygen -q -t ed25519 -N '' -C "testbed-$name" -f "$dir/$name"
  done
  cp "$dir/client_key.pub" "$dir/authorized_keys"
  echo "[127.0.0.1]:$(cat "$dir/port") $(cut -d' ' -f1,2 "$dir/host_key.pub")" > "$dir/known_hosts"
  # SetEnv: by this mark `down` finds what a remote command left behind.
  cat > "$dir/config" << CONFIG
ListenAddress 127.0.0.1:$(cat "$dir/port")
HostKey $dir/host_key
AuthorizedKeysFile $dir/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
SetEnv TESTBED_SERVER=$dir/
MaxStartups 100
MaxSessions 100
CONFIG
  spawn "$dir" "$(command -v sshd)" -D -e -f "$dir/config"
  within 10 "$dir" 'sshd does not listen' listens
  publish "$dir" TESTBED_SSHD_PORT="$(cat "$dir/port")" TESTBED_SSHD_USER="$(id -un)" TESTBED_SSHD_KEY="$dir/client_key" \
    TESTBED_SSHD_KNOWN_HOSTS="$dir/known_hosts" TESTBED_PID="$(cut -d' ' -f1 "$dir/pid")"
}

listens() { (: < "/dev/tcp/127.0.0.1/$(cat "$dir/port")") 2> /dev/null; }
