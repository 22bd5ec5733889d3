#!/bin/sh
# bare.sh demo|test [--recommended]: runs scripts/demo.sh or scripts/test.sh in a bare Debian 12, as root: a clone of HEAD in a root
# that debootstrap made, with git and nothing else. What a script forgets to install cannot hide there.
# --recommended: what is installed comes with every package that Debian recommends beside it.
# The root without anything installed is kept in build/bare/base for the next call. MIRROR=URL: where Debian's packages come from,
# else this machine's own mirror.
set -eu
cd "$(dirname "$0")/.."

command=${1:-}
recommended=
if [ "${2:-}" = --recommended ]; then recommended=yes; fi
case "$command" in
  demo | test) ;;
  *)
    echo "usage: bare.sh demo|test [--recommended]" >&2
    exit 2
    ;;
esac
if [ "$(id -u)" -ne 0 ]; then
  echo "bare.sh: making a Debian root takes root" >&2
  exit 1
fi
scripts/install.sh bare

release=bookworm
bare=$PWD/build/bare
base=$bare/base
root=$bare/root
mkdir -p "$bare"

mirror=${MIRROR:-$(apt-get indextargets --format "\$(REPO_URI)" "Codename: $release" 2>/dev/null | head -n 1)}
if [ ! -e "$base.complete" ]; then
  echo "making a bare Debian ($release) in $base"
  rm -rf "$base"
  # shellcheck disable=SC2086 # without a mirror, debootstrap has its own
  debootstrap --variant=minbase --include=git,ca-certificates "$release" "$base" ${mirror:-} >"$bare/debootstrap.log" || {
    tail -n 5 "$bare/debootstrap.log" >&2
    exit 1
  }
  rm -rf "$base"/var/cache/apt/archives/*.deb
  touch "$base.complete"
fi

rm -rf "$root"
cp -a "$base" "$root"
git clone --quiet --depth 1 "file://$PWD" "$root/jigsaw"

# How this machine reaches its mirrors; no package of its own.
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
fi

# Mounts live in a namespace of their own and are gone with the command, however it ends.
export root command recommended
# shellcheck disable=SC2016 # expanded by the inner shell
exec unshare --mount --propagation private sh -euc '
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs tmpfs "$root/tmp"
  exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    ${recommended:+INSTALL_RECOMMENDED=yes} \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
    ${PIP_INDEX_URL:+PIP_INDEX_URL="$PIP_INDEX_URL"} PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    chroot "$root" "/jigsaw/scripts/$command.sh"'
