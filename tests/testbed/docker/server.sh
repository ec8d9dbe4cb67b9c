# shellcheck shell=bash disable=SC2154
# A Docker engine beside any other on the machine: containerd and dockerd with folders and sockets of their own. Sourced
# by `start`; no options. Needs root. Containers have no network or the host's: no bridge, no firewall rule is made.

engine_ready() { docker --host "unix://$dir/sock" info --format . > /dev/null 2>&1; }

start_server() {
  [[ $(id -u) -eq 0 ]] || die 'the Docker engine of the testbed needs root: run as root, in a container with --privileged'
  needs dockerd docker.io
  needs containerd containerd
  needs docker docker.io
  # A socket's path has at most 107 bytes; the longest is containerd's for its debug.
  ((${#dir} < 60)) || die "the path $dir is too long for sockets; choose a shorter folder (TMPDIR)"
  mkdir -p "$dir/containerd"
  cat > "$dir/containerd/config.toml" << CONFIG
version = 2
root = "$dir/containerd/root"
state = "$dir/containerd/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "$dir/containerd/sock"
[ttrpc]
address = "$dir/containerd/sock.ttrpc"
CONFIG
  spawn "$dir/containerd" containerd --config "$dir/containerd/config.toml"
  within 20 "$dir/containerd" 'containerd does not listen' test -S "$dir/containerd/sock"
  echo '{}' > "$dir/daemon.json"
  spawn "$dir" dockerd --config-file "$dir/daemon.json" --host "unix://$dir/sock" --containerd "$dir/containerd/sock" \
    --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/dockerd.pid" \
    --bridge none --iptables=false --ip-forward=false --ip-masq=false
  within 40 "$dir" 'the Docker engine is not ready (it needs the right to mount and to make control groups)' engine_ready
  publish "$dir" DOCKER_HOST="unix://$dir/sock" TESTBED_PID="$(cut -d' ' -f1 "$dir/pid")"
}
