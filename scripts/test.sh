#!/usr/bin/env bash
# Runs every test program of a build folder, and the tests of the command line if the program is there.
#   scripts/test.sh [BUILD]
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
logs=$build/test-logs
mkdir -p "$logs"
passed=0 failed=0 skipped=0
# Sleeping threads instead of spinning ones: on a loaded machine the small test models run many times faster.
export OMP_WAIT_POLICY=PASSIVE
limit=${TEST_TIMEOUT:-900}

count() { sed -n "s/$1/\\1/p" "$2" | tail -n 1; }

for program in "$build"/src/merit/*/merit_*_test; do
  [ -x "$program" ] || continue
  name=$(basename "$program")
  start=$SECONDS
  timeout "$limit" "$program" --gtest_color=no > "$logs/$name.log" 2>&1
  code=$?
  p=$(count '^\[  PASSED  \] \([0-9]*\) test.*' "$logs/$name.log"); p=${p:-0}
  s=$(count '^\[  SKIPPED \] \([0-9]*\) test.*' "$logs/$name.log"); s=${s:-0}
  f=$(grep -c '^\[  FAILED  \] [^ ]*\.[^ ]* (' "$logs/$name.log")
  if [ $code -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  printf '%-28s %4d passed %3d failed %3d skipped  %3d s\n' "$name" "$p" "$f" "$s" $((SECONDS - start))
  if [ "$f" -gt 0 ]; then
    grep -E '^\[  FAILED  \]|Failure|Sanitizer|runtime error' "$logs/$name.log" | head -n 20
    echo "  exit code $code; full log: $logs/$name.log"
  fi
done

if [ -x "$build/merit" ] && [ -x .venv/bin/python ]; then
  start=$SECONDS
  MERIT_BUILD=$build timeout "$limit" .venv/bin/python -m pytest -q -p no:cacheprovider tests/apps tests/report > "$logs/pytest.log" 2>&1
  code=$?
  line=$(tail -n 1 "$logs/pytest.log")
  number() { grep -oE "[0-9]+ $1" <<< "$line" | grep -oE '[0-9]+' || echo 0; }
  p=$(number passed) f=$(($(number failed) + $(number error))) s=$(number skipped)
  if [ $code -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  printf '%-28s %4d passed %3d failed %3d skipped  %3d s\n' "command line, pages" "$p" "$f" "$s" $((SECONDS - start))
  if [ "$f" -gt 0 ]; then tail -n 60 "$logs/pytest.log"; fi
fi

echo "tests: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
