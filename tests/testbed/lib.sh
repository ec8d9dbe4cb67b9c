# shellcheck shell=bash
# What the testbed's scripts share: words, waiting, and which processes belong to a folder. Sourced, never run.
#
# A server lives in a folder of its own (config, data, `log`, `pid`, `env`). Its processes are known by three marks, since
# none is on all of them: the environment holds TESTBED_SERVER=<folder>/, which children inherit unless a formula clears
# it; `pid` holds the first one's number with the time at which it started, for programs that overwrite their environment
# (sshd) and against numbers used again; the control group of a task or container is named for the id in the data folder.

# shellcheck disable=SC2034 # for those who source this
bed=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PATH="$PATH:/usr/sbin:/sbin"

say() { printf 'testbed: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# pause SECONDS: sleeps without a process that would outlive this one when it is killed.
pause() { read -rt "$1" <> <(:) || true; }

# needs PROGRAM PACKAGE
needs() { command -v "$1" > /dev/null || die "$1 is missing: install Debian's package $2 (./test does, as root)"; }

# free_port: one on which nobody listens, below the range that the kernel gives to outgoing connections: a server that
# is restarted on its port finds it free.
free_port() {
  local port
  while port=$((15000 + SRANDOM % 17000)); do
    (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null || break
  done
  echo "$port"
}

secret() { cat /proc/sys/kernel/random/uuid; }

# started PID: when it started, in clock ticks since boot; fails when there is no such process or only its zombie.
started() {
  local stat
  stat=$(cat "/proc/$1/stat" 2> /dev/null) || return 1
  read -ra stat <<< "${stat##*) }"
  [[ ${stat[0]} != Z ]] && echo "${stat[19]}"
}

# alive PID STARTED
alive() { [[ "$(started "$1")" == "$2" ]]; }

# spawn DIR COMMAND…: starts a server. In a session of its own, since a Ctrl-C at the terminal is for `down` to carry out;
# with a clean environment, since variables of the person's (proxies, CA bundles, tokens) change what servers do; and with a
# folder of its own for temporary files: a killed Nomad leaves the sockets of its plugins there.
spawn() {
  local dir=$1
  shift
  mkdir -p "$dir/tmp"
  setsid env -i PATH="$PATH" HOME="$dir" TMPDIR="$dir/tmp" LANG=C.UTF-8 TESTBED_SERVER="$dir/" "$@" < /dev/null >> "$dir/log" 2>&1 &
  echo "$! $(started $!)" > "$dir/pid"
}

# running DIR: whether the server that was last spawned there lives.
running() {
  local pid start
  read -r pid start 2> /dev/null < "$1/pid" && alive "$pid" "$start"
}

# log_end DIR…: the last words of servers, for somebody who has to find out why.
log_end() {
  local dir
  for dir in "$@"; do
    [[ -s $dir/log ]] || continue
    printf -- '--- end of %s\n' "$dir/log"
    tail -n "${lines:-25}" "$dir/log" | cut -c1-400
  done >&2
}

# within SECONDS DIR WHAT COMMAND…: repeats the command until it succeeds; a server that ended is not waited for.
within() {
  local end=$((SECONDS + $1)) dir=$2 what=$3
  shift 3
  until "$@"; do
    if ! running "$dir"; then
      log_end "$dir"
      die "$what: the server in $dir ended"
    elif ((SECONDS >= end)); then
      log_end "$dir"
      die "$what: not within its time"
    fi
    pause 0.05
  done
}

# call METHOD URL [JSON] [HEADER]: prints the body; fails on any status outside 2xx. Loopback never goes through a proxy.
call() {
  curl -sSf --noproxy '*' --max-time 10 -X "$1" ${4:+-H "$4"} ${3:+-H 'Content-Type: application/json' --data-binary "$3"} "$2" 2> /dev/null
}
reachable() { call GET "$1" '' "${2:-}" > /dev/null; }

# publish DIR NAME=VALUE…: what a test must know of this server, as lines for `source`; kept in DIR/env and printed.
publish() {
  local dir=$1
  shift
  printf 'export %q\n' "$@" > "$dir/env"
}

# groups DIR: what Nomad's allocations and Docker's containers are called, in the names of their control groups.
groups() {
  find "$1" -maxdepth 5 \( -path '*/data/alloc/*' -o -path '*/data/containers/*' \) -prune -printf '%f\n' 2> /dev/null
}

recorded() {
  local file pid start
  find "$1" -maxdepth 3 -name pid 2> /dev/null | while read -r file; do
    if read -r pid start < "$file" && alive "$pid" "$start"; then echo "$pid"; fi
  done
}

# members DIR: the processes that belong to a server's folder or to any folder below it, with all their descendants.
members() {
  {
    grep -lzs "^TESTBED_SERVER=${1//./\\.}/" /proc/[0-9]*/environ | cut -d/ -f3
    grep -lsFf <(groups "$1") /proc/[0-9]*/cgroup | cut -d/ -f3
    recorded "$1"
  } | descendants
}

# descendants: of the processes named on stdin, and themselves.
descendants() {
  cat - <(echo -) <(cat /proc/[0-9]*/stat 2> /dev/null) | awk '
    $1 == "-" && !tree { tree = 1; next }
    !tree { wanted[$1] = 1; next }
    { pid = $1; sub(/^.*\) /, ""); if ($1 != "Z") parent[pid] = $2 }
    END {
      for (pid in parent) {
        for (up = pid; up in parent && !(up in wanted); up = parent[up]);
        if (up in wanted && pid in parent) print pid
      }
    }'
}
