#!/bin/sh
# demo.sh: from a bare Debian to a first contact sheet, in a minute or two. Everything it makes is in build/demo.
set -eu
cd "$(dirname "$0")/.."
scripts/install.sh
cmake --preset release >/dev/null
cmake --build --preset release -- --quiet
rm -rf build/demo
mkdir -p build/demo

run() {
  echo
  echo "\$ $*"
  "$@"
}

run build/bin/jigsaw-gen --toy 600 --out build/demo/scenes
run build/bin/jigsaw-gen --annotations build/demo/scenes/annotations/instances.json --images build/demo/scenes/images \
  --out build/demo/store --preview build/demo/jigsaws.png
run build/bin/jigsaw-gen --check build/demo/store
echo
echo "Look at build/demo/jigsaws.png, and at the scenes in build/demo/scenes/images."
