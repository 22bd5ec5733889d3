#!/bin/sh
# run.sh TARGET CORPUS: fuzzes for FUZZ_SECONDS (default 60) from the committed corpus; new inputs go to a scratch folder,
# a finding to the current folder. The committed corpus is never written to.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$1" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
  -artifact_prefix="$PWD/finding-$(basename "$1")-" "$scratch" "$2"
