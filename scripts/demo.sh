#!/bin/sh
# demo.sh: from a bare Debian to samples, a contact sheet and a short pre-training, in a few minutes. Everything it makes is in
# build/demo.
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
run build/bin/jigsaw-pretrain --data build/demo/store --out build/demo/run --arch resnet18 --batch 16 --iterations 100 \
  --lr 0.05 --erf-images 8 --evaluate-every 50 --log-every 10
echo
echo "Look at build/demo/jigsaws.png, at the loss in build/demo/run/loss.svg, and at what cells see in build/demo/run/erf."
