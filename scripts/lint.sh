#!/bin/sh
# lint.sh format|cppcheck|tidy|shell [BUILD-FOLDER]: one kind of static check over all of our own sources.
set -eu
cd "$(dirname "$0")/.."
build=${2:-build}
sources=$(git ls-files '*.c' 2>/dev/null || find core jigsaw nn erf pretrain bench tests -name '*.c')
headers=$(git ls-files '*.h' 2>/dev/null || find core jigsaw nn erf pretrain bench tests -name '*.h')

# shellcheck disable=SC2086 # lists of files without spaces
case "$1" in
  format) clang-format --dry-run -Werror $sources $headers ;;
  cppcheck)
    cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability --inline-suppr \
      --suppress=missingIncludeSystem --suppress=ignoredReturnValue -D_GNU_SOURCE \
      '-DJIGSAW_VERSION="0"' -I . -j 2 $sources
    ;;
  tidy)
    # Each file once, though the kernels are compiled for several instruction sets. stb_decode.c is stb_image.h, which is
    # not ours.
    commands=$(mktemp -d)
    trap 'rm -rf "$commands"' EXIT
    python3 -c 'import json, sys
json.dump(list({each["file"]: each for each in json.load(sys.stdin)}.values()), sys.stdout)' \
      <"$build/compile_commands.json" >"$commands/compile_commands.json"
    echo $sources | tr ' ' '\n' | grep -v -e stb_decode.c -e '^tests/' -e '^bench/' | xargs -n 4 clang-tidy --quiet --warnings-as-errors='*' -p "$commands" 2>/dev/null
    ;;
  shell) shellcheck scripts/*.sh tests/fuzz/*.sh .ci/run ;;
  *)
    echo "usage: lint.sh format|cppcheck|tidy|shell [BUILD-FOLDER]" >&2
    exit 2
    ;;
esac
