#!/bin/sh
# install.sh [test|bare]: installs what building needs, and with `test` what testing needs, from Debian's packages - only what
# is missing; with `bare` what scripts/bare.sh needs. INSTALL_RECOMMENDED=yes: with what Debian recommends beside. With `test` the Python packages that tests compare against go into .venv; without PyPI those tests skip.
# PyTorch is Debian's, for the CPU, seen from .venv: PyPI's comes with 3 GB of CUDA. It asks for numpy 1; and timm goes in
# without its dependencies, or pip would fetch the other PyTorch.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)

packages="cmake gcc libc6-dev ninja-build pkg-config
  libarchive-dev libcjson-dev libcmocka-dev libdnnl-dev libexpat1-dev libjpeg-dev libpng-dev libstb-dev libtiff-dev
  libutf8proc-dev libwebp-dev libxxhash-dev libyaml-dev"
test_packages="clang clang-format clang-tidy cppcheck libclang-rt-dev libomp-dev python3 python3-torch python3-torchvision python3-venv
  shellcheck util-linux"
python_packages="numpy<2 pillow pycocotools safetensors webdataset"
python_packages_alone="timm"

case "${1:-}" in
  test) packages="$packages $test_packages" ;;
  bare) packages="debootstrap git util-linux" ;;
esac
if [ -n "${INSTALL_RECOMMENDED:-}" ]; then recommended=--install-recommends; else recommended=--no-install-recommends; fi

missing=
for package in $packages; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  if [ "$status" != "install ok installed" ]; then missing="$missing $package"; fi
done
if [ -n "$missing" ]; then
  echo "installing:$missing"
  if [ "$(id -u)" -ne 0 ]; then
    echo "install.sh: not root; run as root:  apt-get install$missing" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # shellcheck disable=SC2086 # a list of packages
  apt-get install -y -qq $recommended $missing >/dev/null
fi

pip_install() { "$root/.venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }

wanted="$python_packages + $python_packages_alone"
if [ "${1:-}" = test ] && [ "$(cat "$root/.venv/complete" 2>/dev/null)" != "$wanted" ]; then
  rm -rf "$root/.venv"
  # shellcheck disable=SC2086 # lists of packages
  if /usr/bin/python3 -m venv --system-site-packages "$root/.venv" && pip_install $python_packages &&
    pip_install --no-deps $python_packages_alone; then
    echo "$wanted" >"$root/.venv/complete"
  else
    echo "install.sh: PyPI cannot be reached; the tests that compare with Python packages will be skipped" >&2
  fi
fi
