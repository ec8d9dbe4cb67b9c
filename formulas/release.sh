#!/usr/bin/env bash
# Tags a repository through its forge's API (Forgejo, Gitea), pushes the tag to mirrors, and can add the release entry.
#
# Can be run again: a tag that stands at the same commit is fine, at another it is refused. What it reads, and how it exits,
# stands in docs/formulas.md.
set -euo pipefail

fail() {
  printf 'release: %s\n' "$1" >&2
  exit "${2:-1}"
}

say() { printf 'release: %s\n' "$1"; }

for tool in curl git jq base64; do
  command -v "$tool" >/dev/null || fail "the tool \`$tool\` is not on this machine; install it" 2
done

forge_url=${DISPATCH_PARAM_FORGE_URL:-}
repo=${DISPATCH_PARAM_REPO:-}
ref=${DISPATCH_PARAM_REF:-}
tag=${DISPATCH_PARAM_TAG:-}
message=${DISPATCH_PARAM_MESSAGE:-}
read -r -d '' -a mirrors <<<"${DISPATCH_PARAM_MIRRORS:-}" || true
entry=${DISPATCH_PARAM_ENTRY:-no}
notes=${DISPATCH_PARAM_NOTES:-}
forge_url=${forge_url%/}

# A credential goes out over TLS only; the loopback is this machine itself.
safe_url() {
  [[ $1 =~ ^https?://[^/]*@ ]] && fail "$2 holds a credential; name a secret instead" 2
  [[ $1 =~ ^https://[^/]+ || $1 =~ ^http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?(/|$) ]]
}

safe_url "$forge_url" "the parameter forge_url" || fail "the parameter forge_url must begin with https://" 2
[[ $repo =~ ^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$ ]] || fail "the parameter repo must be \`owner/name\`" 2
[[ $ref =~ ^[A-Za-z0-9][A-Za-z0-9._/-]*$ ]] || fail "the parameter ref must name a branch, a tag or a commit" 2
git check-ref-format "refs/tags/$tag" || fail "the parameter tag is not a tag's name" 2
[[ $entry == yes || $entry == no ]] || fail "the parameter entry must be yes or no" 2
[[ -n ${FORGE_RELEASE_TOKEN:-} ]] || fail "the secret FORGE_RELEASE_TOKEN is not granted; name it in the action's secrets" 2
[[ $FORGE_RELEASE_TOKEN =~ [[:cntrl:]\"\\] ]] && fail "the secret FORGE_RELEASE_TOKEN is not a token: it holds a quote, a backslash or a control character" 2

work=$(mktemp -d -p "$HOME")
trap 'rm -rf "$work"' EXIT
answer=$work/answer

# call METHOD PATH [JSON]: sets `status`; the answer's body is in $answer. The token goes through a pipe: a command line can be
# read by every process of the machine.
call() {
  local options=(--disable --silent --show-error --connect-timeout 10 --max-time 120 --request "$1")
  [[ $1 == GET ]] && options+=(--retry 3)
  if [[ -n ${3:-} ]]; then
    printf '%s' "$3" >"$work/body"
    options+=(--header 'Content-Type: application/json' --data-binary "@$work/body")
  fi
  : >"$answer"
  status=$(printf 'header = "Authorization: token %s"\n' "$FORGE_RELEASE_TOKEN" |
    curl "${options[@]}" --config - --output "$answer" --write-out '%{http_code}' "$forge_url/api/v1/repos/$repo$2") ||
    fail "the forge $forge_url does not answer"
}

# What the forge said, for people.
words() { jq -r '.message // empty' "$answer" 2>/dev/null | tr -d '\000-\010\013-\037' | head -c 300; }

encoded() { jq -rn --arg text "$1" '$text | @uri'; }

commit_of_ref() {
  call GET "/git/commits/$(encoded "$ref")?stat=false&verification=false&files=false"
  case $status in
    200) commit=$(jq -r '.sha // empty' "$answer") ;;
    404 | 422) fail "$repo has no ref $ref, or the token may not see it" ;;
    401 | 403) fail "the forge refuses FORGE_RELEASE_TOKEN (status $status)" ;;
    *) fail "the forge answered $status when asked for $ref: $(words)" ;;
  esac
  [[ $commit =~ ^[0-9a-f]{40,64}$ ]] || fail "the forge's answer for $ref holds no commit"
}

# Succeeds when the tag stands at the commit, and fails when there is none.
tag_stands() {
  call GET "/tags/$(encoded "$tag")"
  [[ $status == 404 ]] && return 1
  [[ $status == 200 ]] || fail "the forge answered $status when asked for the tag $tag: $(words)"
  local at
  at=$(jq -r '.commit.sha // empty' "$answer")
  [[ $at == "$commit" ]] ||
    fail "the tag $tag already stands at ${at:-an unknown commit}, not at $commit; a tag is never moved, choose another"
}

make_tag() {
  if tag_stands; then
    say "the tag $tag already stands at $commit"
    return
  fi
  call POST /tags "$(jq -n --arg tag "$tag" --arg target "$commit" --arg message "$message" \
    '{tag_name: $tag, target: $target} + (if $message == "" then {} else {message: $message} end)')"
  case $status in
    201) say "tagged $commit as $tag" ;;
    409) tag_stands || fail "the forge says that the tag $tag exists, and does not show it" ;;
    401 | 403) fail "FORGE_RELEASE_TOKEN may not write to $repo (status $status)" ;;
    *) fail "the forge refused to make the tag $tag (status $status): $(words)" ;;
  esac
}

make_entry() {
  call GET "/releases/tags/$(encoded "$tag")"
  if [[ $status == 200 ]]; then
    say "the release entry $tag is there already"
    return
  fi
  call POST /releases "$(jq -n --arg tag "$tag" --arg notes "$notes" '{tag_name: $tag, name: $tag, body: $notes}')"
  case $status in
    201) say "made the release entry $tag" ;;
    409) say "the release entry $tag is there already" ;;
    *) fail "the forge refused to make the release entry $tag (status $status): $(words)" ;;
  esac
}

# git with no configuration but ours. with_token URL SECRET git-arguments…: the secret goes as a header, by the environment.
plain_git() {
  env GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_TERMINAL_PROMPT=0 GIT_ALLOW_PROTOCOL=https:http:ssh:file \
    git -C "$work/repo.git" -c http.followRedirects=false "$@"
}

with_token() {
  local url=$1 secret=$2
  shift 2
  if [[ -z $secret ]]; then
    plain_git "$@"
    return
  fi
  local basic
  basic=$(printf 'x-access-token:%s' "${!secret}" | base64 -w0)
  (
    export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="http.$url.extraHeader" GIT_CONFIG_VALUE_0="Authorization: Basic $basic"
    plain_git "$@"
  )
}

use_ssh_mount() {
  local key
  for key in "$DISPATCH_MOUNT_SSH"/id_ed25519 "$DISPATCH_MOUNT_SSH"/id_ecdsa "$DISPATCH_MOUNT_SSH"/id_rsa; do
    [[ -f $key ]] || continue
    printf -v GIT_SSH_COMMAND 'ssh -F none -i %q -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=%q' \
      "$key" "$DISPATCH_MOUNT_SSH/known_hosts"
    export GIT_SSH_COMMAND
    return
  done
  fail "the mount ssh holds none of id_ed25519, id_ecdsa, id_rsa" 2
}

# push_to URL SECRET: fails with a line on stderr.
push_to() {
  local theirs ours
  ours=$(plain_git rev-parse "refs/tags/$tag")
  theirs=$(with_token "$1" "$2" ls-remote "$1" "refs/tags/$tag" 2>"$work/git.log" | cut -f1) || {
    printf 'release: the mirror %s cannot be read: %s\n' "$1" "$(tail -n 1 "$work/git.log")" >&2
    return 1
  }
  if [[ $theirs == "$ours" ]]; then
    say "the mirror $1 has the tag $tag already"
  elif [[ -n $theirs ]]; then
    printf 'release: the mirror %s has another tag %s: %s, not %s; a tag is never moved\n' "$1" "$tag" "$theirs" "$ours" >&2
    return 1
  elif with_token "$1" "$2" push --quiet "$1" "refs/tags/$tag:refs/tags/$tag" 2>"$work/git.log"; then
    say "pushed $tag to $1"
  else
    printf 'release: the mirror %s refused the tag %s: %s\n' "$1" "$tag" "$(tail -n 1 "$work/git.log")" >&2
    return 1
  fi
}

# Each mirror is `URL` or `SECRET=URL`. Settled for all of them before anything is made.
mirror_urls=()
mirror_secrets=()
check_mirrors() {
  local mirror url secret
  for mirror in "${mirrors[@]}"; do
    url=$mirror secret=''
    if [[ $mirror =~ ^([A-Z][A-Z0-9_]*)=(.*)$ ]]; then
      secret=${BASH_REMATCH[1]} url=${BASH_REMATCH[2]}
      [[ $secret =~ ^(GITHUB|CODEBERG|MIRROR)_TOKEN$ ]] ||
        fail "a mirror may be sent GITHUB_TOKEN, CODEBERG_TOKEN or MIRROR_TOKEN, not $secret" 2
      [[ -n ${!secret:-} ]] || fail "the secret $secret of the mirror $url is not granted; name it in the action's secrets" 2
      safe_url "$url" "a mirror" || fail "the mirror $url must begin with https:// to be sent a secret" 2
    fi
    [[ $url =~ ^https?://[^/]*@ ]] && fail "a mirror holds a credential; write SECRET=URL instead" 2
    [[ $url == -* || $url == *::* ]] && fail "the mirror $url is not a git URL" 2
    mirror_urls+=("$url")
    mirror_secrets+=("$secret")
  done
  ((${#mirror_urls[@]} == 0)) || [[ -z ${DISPATCH_MOUNT_SSH:-} ]] || use_ssh_mount
}

push_to_mirrors() {
  ((${#mirror_urls[@]})) || return 0
  git init --quiet --bare "$work/repo.git"
  local from="$forge_url/$repo.git" failed=0 at
  with_token "$from" FORGE_RELEASE_TOKEN fetch --quiet --no-tags "$from" "refs/tags/$tag:refs/tags/$tag" 2>"$work/git.log" ||
    fail "the tag $tag cannot be fetched from $from: $(tail -n 1 "$work/git.log")"
  [[ $(plain_git rev-parse "refs/tags/$tag^{commit}") == "$commit" ]] ||
    fail "the tag $tag as fetched from $from is not at $commit"
  for at in "${!mirror_urls[@]}"; do
    push_to "${mirror_urls[at]}" "${mirror_secrets[at]}" || failed=$((failed + 1))
  done
  ((failed == 0)) || fail "$failed of ${#mirror_urls[@]} mirrors did not take the tag $tag; run it again once that is mended"
}

check_mirrors
commit_of_ref
make_tag
push_to_mirrors
[[ $entry == no ]] || make_entry
