#!/bin/sh
# test.sh: installs what is missing, builds, and runs every test: under AddressSanitizer and UndefinedBehaviorSanitizer, a
# minute of fuzzing each reader, then the release build with static checks and the comparisons with Python's packages.
set -eu
cd "$(dirname "$0")/.."
scripts/install.sh test

build() {
  cmake --preset "$1" >/dev/null
  cmake --build --preset "$1" --target "${2:-all}" -- --quiet
}

build release
build sanitize
build fuzz fuzzers
ctest --preset fuzz -R '^fuzz_' -j "$(nproc)"
ctest --preset sanitize -j "$(nproc)"
ctest --preset release -j "$(nproc)"
