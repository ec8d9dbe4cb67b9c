# shellcheck shell=bash disable=SC2154
# Files of container images, made from this machine's own programs, since no registry can be counted on. Sourced.

# with_libraries ROOT FILE TARGET: a program and the shared libraries it needs.
with_libraries() {
  local root=$1 file=$2 target=$3 library
  install -D "$file" "$root$target"
  { ldd "$file" 2> /dev/null || true; } | grep -oE '/[^ ]+' | while read -r library; do
    [[ -e $root$library ]] || install -D "$(realpath "$library")" "$root$library"
  done
}

# base_files ROOT: bash (formulas run under it), busybox for the rest, CA certificates (an HTTP client without any cannot be
# built), two users.
base_files() {
  local root=$1 applet certificates=/etc/ssl/certs/ca-certificates.crt
  needs busybox busybox-static
  mkdir -p "$root"/{bin,usr/bin,usr/local/bin,etc/ssl/certs,root,proc,sys,dev,run,var}
  mkdir -p "$root/tmp" "$root/var/tmp"
  chmod 1777 "$root/tmp" "$root/var/tmp"
  ln -s bin "$root/sbin"
  install "$(command -v busybox)" "$root/bin/busybox"
  ldd "$root/bin/busybox" > /dev/null 2>&1 && die 'busybox is not static: install Debian'\''s package busybox-static'
  for applet in $("$root/bin/busybox" --list); do
    [[ $applet == busybox ]] || ln -s /bin/busybox "$root/bin/$applet"
  done
  ln -s /bin/busybox "$root/usr/bin/env"
  with_libraries "$root" "$(command -v bash)" /bin/bash
  [[ ! -r $certificates ]] || cp "$certificates" "$root$certificates"
  printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'runner:x:65532:65532:runner:/tmp:/bin/sh' > "$root/etc/passwd"
  printf '%s\n' 'root:x:0:' 'runner:x:65532:' > "$root/etc/group"
}

# import ROOT NAME [CHANGE…]: an image of those files.
import_image() {
  local root=$1 name=$2 change changes=()
  shift 2
  for change in 'ENV PATH=/usr/local/bin:/usr/bin:/bin' "$@"; do changes+=(--change "$change"); done
  tar -C "$root" --numeric-owner --owner=0 --group=0 -c . | docker import "${changes[@]}" - "$name" > /dev/null
}
