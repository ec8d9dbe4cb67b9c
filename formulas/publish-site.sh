#!/usr/bin/env bash
# Publishes a folder of a git repository as one commit on a branch (gh-pages style).
#
# Nothing is checked out: the folder's tree object becomes the commit's tree, so no hook, filter or script of the repository has
# any effect. The same tree makes no commit. What it reads, and how it exits, stands in docs/formulas.md.
set -euo pipefail

fail() {
  printf 'publish-site: %s\n' "$1" >&2
  exit "${2:-1}"
}

say() { printf 'publish-site: %s\n' "$1"; }

for tool in git base64; do
  command -v "$tool" >/dev/null || fail "the tool \`$tool\` is not on this machine; install it" 2
done

source=${DISPATCH_PARAM_SOURCE:-}
ref=${DISPATCH_PARAM_REF:-}
folder=${DISPATCH_PARAM_FOLDER:-.}
target=${DISPATCH_PARAM_TARGET:-$source}
branch=${DISPATCH_PARAM_BRANCH:-gh-pages}

check_url() {
  [[ -n $1 && $1 != -* && $1 != *::* ]] || fail "the parameter $2 is not a git URL" 2
  [[ $1 =~ ^https?://[^/]*@ ]] && fail "the parameter $2 holds a credential; use the secret SITE_TOKEN" 2
  return 0
}

check_url "$source" source
check_url "$target" target
[[ $ref =~ ^[A-Za-z0-9][A-Za-z0-9._/-]*$ ]] || fail "the parameter ref must name a branch, a tag or a commit" 2
[[ $folder =~ ^[A-Za-z0-9._/-]+$ && ! $folder =~ (^|/)\.\.(/|$) && $folder != /* ]] ||
  fail "the parameter folder must be a path inside the repository" 2
git check-ref-format "refs/heads/$branch" || fail "the parameter branch is not a branch's name" 2
# A credential goes out over TLS only; the loopback is this machine itself.
if [[ -n ${SITE_TOKEN:-} && ! $target =~ ^https:// && ! $target =~ ^http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?/ ]]; then
  fail "the parameter target must begin with https:// to be sent the secret SITE_TOKEN" 2
fi
if [[ $folder == . ]]; then folder=''; fi
folder=${folder#./}
folder=${folder%/}

work=$(mktemp -d -p "$HOME")
trap 'rm -rf "$work"' EXIT
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_TERMINAL_PROMPT=0 GIT_ALLOW_PROTOCOL=https:http:ssh:file
export GIT_DIR=$work/repo.git
# The token goes to the target alone, as a header, and by the environment: a command line can be read by every process.
if [[ -n ${SITE_TOKEN:-} ]]; then
  basic=$(printf 'x-access-token:%s' "$SITE_TOKEN" | base64 -w0)
  export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="http.$target.extraHeader" GIT_CONFIG_VALUE_0="Authorization: Basic $basic"
fi
if [[ -n ${DISPATCH_MOUNT_SSH:-} ]]; then
  for key in id_ed25519 id_ecdsa id_rsa; do
    [[ -f $DISPATCH_MOUNT_SSH/$key ]] || continue
    printf -v GIT_SSH_COMMAND 'ssh -F none -i %q -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=%q' \
      "$DISPATCH_MOUNT_SSH/$key" "$DISPATCH_MOUNT_SSH/known_hosts"
    export GIT_SSH_COMMAND
    break
  done
  [[ -n ${GIT_SSH_COMMAND:-} ]] || fail "the mount ssh holds none of id_ed25519, id_ecdsa, id_rsa" 2
fi

remote() { git -c http.followRedirects=false "$@" 2>"$work/git.log"; }
last_words() { tail -n 1 "$work/git.log"; }

git init --quiet --bare "$GIT_DIR"
remote fetch --quiet --depth 1 --no-tags "$source" "$ref" || fail "$ref cannot be fetched from $source: $(last_words)"
commit=$(git rev-parse 'FETCH_HEAD^{commit}')
tree=$(git rev-parse --verify --quiet "$commit:$folder") || fail "$ref of $source has no folder ${folder:-.}"
[[ $(git cat-file -t "$tree") == tree ]] || fail "$folder is a file at $ref of $source, not a folder"
if [[ $'\n'$(git ls-tree -r "$tree") == *$'\n'160000\ * ]]; then
  fail "the folder ${folder:-.} holds a submodule, which cannot be published"
fi

heads=$(remote ls-remote --symref "$target" HEAD "refs/heads/$branch") || fail "$target cannot be read: $(last_words)"
head=''
while IFS=$'\t' read -r what name; do
  if [[ $name == HEAD && $what == "ref: refs/heads/$branch" ]]; then
    fail "$branch is the default branch of $target; publishing there would replace the repository's own files" 2
  fi
  if [[ $name == "refs/heads/$branch" ]]; then head=$what; fi
done <<<"$heads"
parent=()
if [[ -n $head ]]; then
  remote fetch --quiet --depth 1 --no-tags "$target" "refs/heads/$branch" ||
    fail "the branch $branch cannot be fetched from $target: $(last_words)"
  head=$(git rev-parse 'FETCH_HEAD^{commit}')
  if [[ $(git rev-parse "$head^{tree}") == "$tree" ]]; then
    say "$branch of $target holds this content already, at $head"
    exit 0
  fi
  parent=(-p "$head")
fi

export GIT_AUTHOR_NAME=dispatch GIT_AUTHOR_EMAIL=dispatch@example.com
export GIT_COMMITTER_NAME=dispatch GIT_COMMITTER_EMAIL=dispatch@example.com
page=$(git commit-tree "${parent[@]}" -m "Publish ${folder:-.} of $commit" -m "Action: $1" "$tree")
# Not forced: when somebody else has published meanwhile, theirs stays and this run fails.
remote push --quiet "$target" "$page:refs/heads/$branch" || fail "$target refused the branch $branch: $(last_words)"
say "published ${folder:-.} of $commit on $branch of $target as $page"
