#!/usr/bin/env bash
# Checks that a credential still works, and when it expires where the server tells.
#
# Exits with 0: it works; 10: it works and expires soon; 1: it is refused, or has expired; 3: this cannot be told now; 2: bad
# parameters. What it reads stands in docs/formulas.md.
set -euo pipefail

fail() {
  printf 'rotate-secret-check: %s\n' "$2" >&2
  exit "$1"
}

say() { printf 'rotate-secret-check: %s\n' "$1"; }

for tool in curl date; do
  command -v "$tool" >/dev/null || fail 2 "the tool \`$tool\` is not on this machine; install it"
done

secret=${DISPATCH_PARAM_SECRET:-}
url=${DISPATCH_PARAM_URL:-}
expect=${DISPATCH_PARAM_EXPECT:-200}
header=${DISPATCH_PARAM_HEADER:-Authorization}
scheme=${DISPATCH_PARAM_SCHEME-Bearer}
expiry_header=${DISPATCH_PARAM_EXPIRY_HEADER:-}
warn_days=${DISPATCH_PARAM_WARN_DAYS:-14}

[[ $secret =~ ^[A-Z][A-Z0-9_]{0,63}$ ]] || fail 2 "the parameter secret is not a secret's name"
[[ -n ${!secret:-} ]] || fail 2 "the secret $secret is not granted; name it in the action's secrets"
[[ ${!secret} =~ [[:cntrl:]] ]] && fail 2 "the secret $secret holds a control character; a header cannot carry it"
[[ $url =~ ^https?://[^/]*@ ]] && fail 2 "the parameter url holds a credential; name it in the parameter secret"
# A credential goes out over TLS only; the loopback is this machine itself.
[[ $url =~ ^https://[^[:space:]]+$ || $url =~ ^http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?(/[^[:space:]]*)?$ ]] ||
  fail 2 "the parameter url must begin with https://"
[[ $expect =~ ^[1-5][0-9][0-9]$ ]] || fail 2 "the parameter expect must be an HTTP status"
[[ $header =~ ^[A-Za-z0-9-]+$ ]] || fail 2 "the parameter header is not a header's name"
[[ $scheme =~ ^[A-Za-z0-9-]*$ ]] || fail 2 "the parameter scheme is not a single word"
[[ $expiry_header =~ ^[A-Za-z0-9-]*$ ]] || fail 2 "the parameter expiry_header is not a header's name"
[[ $warn_days =~ ^[0-9]{1,4}$ ]] || fail 2 "the parameter warn_days must be a number of days"

work=$(mktemp -d -p "$HOME")
trap 'rm -rf "$work"' EXIT

# Through a pipe: a command line can be read by every process of the machine. Quotes and backslashes are curl's own.
secret_header() {
  local escaped=${!secret//\\/\\\\}
  printf 'header = "%s: %s%s"\n' "$header" "${scheme:+$scheme }" "${escaped//\"/\\\"}"
}

shown=${url%%\?*}
status=$(secret_header | curl --disable --silent --show-error --connect-timeout 10 --max-time 60 --config - \
  --dump-header "$work/headers" --output /dev/null --write-out '%{http_code}' "$url") ||
  fail 3 "$shown does not answer; whether $secret works is not known"

if [[ $status != "$expect" ]]; then
  case $status in
    401 | 403) fail 1 "$shown refuses $secret (status $status): rotate it" ;;
    *) fail 3 "$shown answered $status, not $expect; whether $secret works is not known" ;;
  esac
fi
say "$shown accepts $secret (status $status)"
[[ -n $expiry_header ]] || exit 0

# The value of the last header of this name, in any case of letters.
expiry=$(tr -d '\r' <"$work/headers" | while IFS=: read -r name value; do
  [[ ${name,,} != "${expiry_header,,}" ]] || printf '%s\n' "${value# }"
done | tail -n 1)
if [[ -z $expiry ]]; then
  say "$shown does not tell when $secret expires"
  exit 0
fi
# An expiry is a date, or seconds since 1970.
[[ $expiry =~ ^[0-9]{9,11}$ ]] && expiry="@$expiry"
at=$(date --utc --date="$expiry" +%s 2>/dev/null) || fail 3 "the header $expiry_header of $shown holds no date"
left=$((at - $(date +%s)))
day=$(date --utc --date="@$at" +%Y-%m-%d)
((left > 0)) || fail 1 "$secret has expired on $day: rotate it"
if ((left < 10#$warn_days * 86400)); then
  fail 10 "$secret expires on $day, in $((left / 86400)) days: rotate it"
fi
say "$secret expires on $day, in $((left / 86400)) days"
