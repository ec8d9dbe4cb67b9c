# shellcheck shell=bash disable=SC2154
# A Nomad agent with ACLs on. Sourced by `start`.
#
#   --server-of DIR    only a client, of the server in that folder; otherwise server and client in one
#   --no-client        only a server
#   --chroot FOLDER    what a task of the driver exec finds as its root; by default the files of the base image
#   --config FILE      more configuration (JSON or HCL), read after ours; may be repeated

options_of_agent() {
  server_of='' client=true chroot=$root/rootfs
  while [[ $# -gt 0 ]]; do
    case $1 in
      --server-of) server_of=$2 && shift ;;
      --no-client) client=false ;;
      --chroot) chroot=$2 && shift ;;
      --config) cat "$2" > "$dir/more-${#more[@]}.${2##*.}" && more+=("$2") && shift ;;
      *) die "nomad: unknown option $1" ;;
    esac
    shift
  done
}

# configure: the traps behind these lines were found on the real server.
# - Without `advertise` the agent refuses loopback.
# - The cloud fingerprints ask the network, and stop the agent over a CA bundle in the environment.
# - The docker driver removes an image after its first use, and containers that another agent on the engine started.
# - The default chroot of `exec` copies half of /usr for every task: 8 to 26 s; this one takes 1 s.
# - Above 80 % of disk use the client removes ended allocations at once, with their logs.
# - The resources are made up: two hundred small tasks at once are a test of dispatch, not of this machine.
configure() {
  jq -n --arg dir "$dir" --arg name "${dir##*/}" --arg chroot "$chroot" --arg docker "unix://$root/docker/sock" \
    --argjson http "$(free_port)" --argjson rpc "$(free_port)" --argjson serf "$(free_port)" \
    --argjson server "$([[ -z $server_of ]] && echo true || echo false)" --argjson client "$client" \
    --arg join "127.0.0.1:$([[ -z $server_of ]] || jq .ports.rpc "$server_of/config.json")" '{
      name: $name, data_dir: "\($dir)/data", bind_addr: "127.0.0.1", disable_update_check: true, acl: {enabled: true},
      ports: {http: $http, rpc: $rpc, serf: $serf},
      advertise: {http: "127.0.0.1", rpc: "127.0.0.1", serf: "127.0.0.1"},
      server: {enabled: $server, bootstrap_expect: (if $server then 1 else 0 end)},
      client: {
        enabled: $client, servers: (if $server then [] else [$join] end),
        cpu_total_compute: 1000000, memory_total_mb: 1000000, gc_max_allocs: 5000,
        gc_disk_usage_threshold: 99, gc_inode_usage_threshold: 99,
        options: {
          "fingerprint.denylist": "env_aws,env_azure,env_gce,env_digitalocean,consul,vault,cni,bridge,plugins_cni",
          "driver.denylist": "java,qemu"
        },
        chroot_env: {($chroot): "/"}
      },
      plugin: [
        {raw_exec: {config: {enabled: true}}},
        {docker: {config: [{
          endpoint: $docker, gc: [{image: false, dangling_containers: [{enabled: false}]}],
          volumes: [{enabled: true}], logging: [{type: "local"}]
        }]}}
      ]
    } | if $server then . else del(.server) end' > "$dir/config.json"
  echo "${server_of:-$dir}" > "$dir/server-of"
  mkdir -p "$dir/data"
  chmod 700 "$dir/data"
}

launch() {
  local arguments=() file
  for file in "$dir"/config.json "$dir"/more-*; do [[ -e $file ]] && arguments+=("-config=$file"); done
  log_before=$(stat -c %s "$dir/log" 2> /dev/null || echo 0)
  spawn "$dir" "$TESTBED_NOMAD" agent "${arguments[@]}"
  within 20 "$dir" 'Nomad does not answer' reachable "$address/v1/agent/health"
}

# The first management token; kept, since the second bootstrap is refused.
bootstrap() {
  call PUT "$address/v1/acl/bootstrap" "{\"BootstrapSecret\":\"$token\"}" > /dev/null && echo "$token" > "$dir/token"
}

node_ready() {
  call GET "$leader/v1/nodes" '' "X-Nomad-Token: $token" |
    jq -e --arg name "${dir##*/}" 'any(.[]; .Name == $name and .Status == "ready")' > /dev/null
}

registration_failed() { tail -c "+$((log_before + 1))" "$dir/log" | grep -q 'client: error registering'; }

# settle: until the node is ready; fails when starting the agent again is quicker than waiting.
# - A first registration that met a server without its keyring is repeated only after 15 to 20 s.
# - A registered client waits up to 10 s, at random, until it says that it is ready; another list of servers makes it say so
#   now, and the same server named once more is another list.
settle() {
  local end=$((SECONDS + 6)) server servers
  server="address=127.0.0.1:$(jq .ports.rpc "$(cat "$dir/server-of")/config.json")"
  servers=$server
  until node_ready; do
    if ((SECONDS >= end)) || registration_failed; then return 1; fi
    servers+="&$server"
    curl -s --noproxy '*' --max-time 1 -o /dev/null -X PUT -H "X-Nomad-Token: $token" "$address/v1/agent/servers?$servers" || true
    pause 0.1
  done
}

stop_agent() {
  local pid
  read -r pid _ < "$dir/pid"
  kill "$pid"
  while running "$dir"; do pause 0.05; done
}

# server_side: the token, and where to ask for nodes: at this agent, or at the one whose client it is.
server_side() {
  local server
  server=$(cat "$dir/server-of")
  leader=$address
  if [[ $server == "$dir" ]]; then
    token=$(cat "$dir/token" 2> /dev/null || secret)
    [[ -e $dir/token ]] || within 20 "$dir" 'Nomad hands out no first token' bootstrap
  else
    leader="http://127.0.0.1:$(jq .ports.http "$server/config.json")"
    token=$(cat "$server/token")
  fi
}

start_server() {
  local more=() attempt
  [[ -e $dir/config.json ]] || { options_of_agent "$@" && configure; }
  address="http://127.0.0.1:$(jq .ports.http "$dir/config.json")"
  launch
  server_side
  if jq -e .client.enabled "$dir/config.json" > /dev/null; then
    for attempt in 1 2 3 4 5 6; do
      settle && break
      ((attempt < 6)) || { log_end "$dir" && die 'the Nomad node did not become ready'; }
      stop_agent
      launch
    done
  fi
  publish "$dir" NOMAD_ADDR="$leader" NOMAD_TOKEN="$token" TESTBED_AGENT_ADDR="$address" TESTBED_PID="$(cut -d' ' -f1 "$dir/pid")"
}
