#!/usr/bin/env bash
# Calls a URL with a JSON body, a secret token in a header, and a bounded number of further tries.
#
# Every try carries the same Idempotency-Key, so that a server that knows it takes the call once. What it reads, and how it
# exits, stands in docs/formulas.md.
set -euo pipefail

fail() {
  printf 'webhook-call: %s\n' "$1" >&2
  exit "${2:-1}"
}

for tool in curl jq; do
  command -v "$tool" >/dev/null || fail "the tool \`$tool\` is not on this machine; install it" 2
done

url=${DISPATCH_PARAM_URL:-}
method=${DISPATCH_PARAM_METHOD:-POST}
body=${DISPATCH_PARAM_BODY:-}
header=${DISPATCH_PARAM_HEADER:-Authorization}
scheme=${DISPATCH_PARAM_SCHEME-Bearer}
tries=${DISPATCH_PARAM_TRIES:-4}
first_wait=${DISPATCH_PARAM_FIRST_WAIT_SECONDS:-1}
longest_wait=60
token=${WEBHOOK_TOKEN:-}

[[ $url =~ ^https?://[^/]*@ ]] && fail "the parameter url holds a credential; use the secret WEBHOOK_TOKEN" 2
[[ $url =~ ^https?://[^[:space:]]+$ ]] || fail "the parameter url must begin with https://" 2
# A credential goes out over TLS only; the loopback is this machine itself.
if [[ -n $token && ! $url =~ ^https:// && ! $url =~ ^http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?(/|$) ]]; then
  fail "the parameter url must begin with https:// to be sent a secret" 2
fi
[[ $method =~ ^(GET|POST|PUT|PATCH|DELETE)$ ]] || fail "the parameter method must be GET, POST, PUT, PATCH or DELETE" 2
[[ $header =~ ^[A-Za-z0-9-]+$ ]] || fail "the parameter header is not a header's name" 2
[[ $scheme =~ ^[A-Za-z0-9-]*$ ]] || fail "the parameter scheme is not a single word" 2
[[ $tries =~ ^([1-9]|10)$ ]] || fail "the parameter tries must be 1 to 10" 2
[[ $first_wait =~ ^[0-9]{1,2}$ ]] || fail "the parameter first_wait_seconds must be 0 to 99" 2
[[ $token =~ [[:cntrl:]] ]] && fail "the secret WEBHOOK_TOKEN holds a control character; a header cannot carry it" 2

work=$(mktemp -d -p "$HOME")
trap 'rm -rf "$work"' EXIT
options=(--disable --silent --show-error --connect-timeout 10 --max-time 120 --request "$method")
options+=(--header "Idempotency-Key: ${DISPATCH_RUN_ID:-$1}" --dump-header "$work/headers" --output "$work/answer")
if [[ -n $body ]]; then
  printf '%s' "$body" >"$work/body"
  jq --exit-status --slurp 'length == 1' "$work/body" >/dev/null 2>&1 || fail "the parameter body is not one JSON value" 2
  options+=(--header 'Content-Type: application/json' --data-binary "@$work/body")
fi

# The token as a line of curl's configuration, which it reads from a pipe: a command line can be read by every process of the
# machine. Quotes and backslashes are that file's own.
secret_header() {
  [[ -n $token ]] || return 0
  local escaped=${token//\\/\\\\}
  printf 'header = "%s: %s%s"\n' "$header" "${scheme:+$scheme }" "${escaped//\"/\\\"}"
}

# Sets `status`, 000 where there was no answer, and `lost`, curl's exit code.
call() {
  : >"$work/headers"
  : >"$work/answer"
  lost=0
  status=$(secret_header | curl "${options[@]}" --config - --write-out '%{http_code}' "$url") || lost=$?
}

# What the server wants us to wait, where it says so in seconds.
retry_after() {
  local name value asked=''
  while IFS=: read -r name value; do
    if [[ ${name,,} == retry-after && $value =~ ^[[:space:]]*([0-9]{1,6})[[:space:]]*$ ]]; then asked=${BASH_REMATCH[1]}; fi
  done <"$work/headers"
  printf '%s' "$asked"
}

# 429 and 5xx may pass by themselves; so may a server that was never reached (6: no such host, 7: refused). An answer that was lost
# on its way is not tried again: the server may have acted on the call.
may_pass() { [[ $status == 429 || $status == 5?? || ($status == 000 && ($lost == 6 || $lost == 7)) ]]; }

shown=${url%%\?*}
wait_seconds=$((10#$first_wait))
for ((try = 1; ; try++)); do
  call
  printf 'webhook-call: %s %s -> %s (try %s of %s)\n' "$method" "$shown" "$status" "$try" "$tries"
  [[ $status == 2?? ]] && exit 0
  if ((try >= tries)) || ! may_pass; then break; fi
  asked=$(retry_after)
  pause=$((10#${asked:-$wait_seconds}))
  ((pause <= longest_wait)) || fail "the server asks to wait $pause seconds, longer than the $longest_wait that this waits"
  ((pause == 0)) || sleep "$pause"
  wait_seconds=$((wait_seconds * 2 < longest_wait ? wait_seconds * 2 : longest_wait))
done

if [[ $status == 000 ]]; then
  fail "no answer from $shown (curl's exit code $lost); whether the call arrived is not known unless that code is 6 or 7"
fi
head -c 1000 "$work/answer" | tr -d '\000-\010\013-\037' >&2
fail "$shown answered $status"
