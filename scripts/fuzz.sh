#!/usr/bin/env bash
# Builds the fuzz targets (tests/fuzz/NAME_fuzz.cc) with clang and runs them: each over its corpus, then on new inputs.
#   scripts/fuzz.sh [TARGET...]      all targets by default
# FUZZ_SECONDS  seconds of new inputs a target (default 60)
# RUNS          this many inputs a target instead
# JOBS          targets at a time (default 2)
set -uo pipefail
cd "$(dirname "$0")/.."
export build=build/asan
export jobs=${JOBS:-2} seconds=${FUZZ_SECONDS:-60} runs=${RUNS:-}

if [ $# -eq 0 ]; then
  for source in tests/fuzz/*_fuzz.cc; do set -- "$@" "$(basename "$source" _fuzz.cc)"; done
fi
for target in "$@"; do
  [ -f "tests/fuzz/${target}_fuzz.cc" ] || { echo "fuzz: no target '$target' (tests/fuzz/${target}_fuzz.cc)" >&2; exit 2; }
done

mkdir -p "$build"
# The lock keeps two runs from building in one folder at once.
build_targets() { cmake --preset asan && ninja -C "$build" -j"$jobs" "${@/#/fuzz_}"; }
if ! (flock 9; build_targets "$@" > "$build/build.log" 2>&1) 9> "$build/lock"; then
  grep -iE 'error' "$build/build.log" | head -n 20
  echo "fuzz: the build failed; see $build/build.log"
  exit 1
fi

# one TARGET: prints its line; fails on a finding. New inputs are kept beside the build, so that later runs start there.
one() {
  local target=$1 work=$build/fuzz/run/$1 corpus=tests/fuzz/corpus/$1 log code inputs
  local options=(-rss_limit_mb=2048 -timeout=20 -print_final_stats=1 -verbosity=0 "-artifact_prefix=$work/")
  mkdir -p "$work/found"
  log=$work/log
  : > "$log"
  shopt -s nullglob
  local seeds=("$corpus"/*)
  if [ ${#seeds[@]} -gt 0 ]; then
    "$build/fuzz/$target" "${options[@]}" "${seeds[@]}" > "$log" 2>&1
    code=$?
    if [ $code -ne 0 ]; then report "$target" "$log" "an input of $corpus"; return 1; fi
  fi
  local amount="-max_total_time=$seconds"
  [ -z "$runs" ] || amount="-runs=$runs"
  local folders=("$work/found")
  [ ! -d "$corpus" ] || folders+=("$corpus")
  "$build/fuzz/$target" "${options[@]}" "$amount" "${folders[@]}" > "$log" 2>&1
  code=$?
  inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
  if [ $code -ne 0 ]; then
    local written=("$work"/{crash,leak,oom,timeout}-*)
    report "$target" "$log" "$([ ${#written[@]} -eq 0 ] || ls -t "${written[@]}" | head -n 1)"
    return 1
  fi
  echo "$target: ${inputs:-0} inputs, clean"
}
report() {
  if grep -q 'libFuzzer: run interrupted' "$2"; then
    echo "$1: interrupted, log: $2"
    return
  fi
  echo "$1: FINDING, reproducer: ${3:-none written}, log: $2"
  grep -m 3 -E 'ERROR|SUMMARY|runtime error' "$2" | sed 's/^/  /'
}
export -f one report

results=$build/results.$$
# Each target leaves a line behind its report: xargs alone would not say how many failed.
printf '%s\n' "$@" | xargs -P "$jobs" -I{} bash -c 'one {} && echo "ok" >&3 || echo "bad" >&3' 3> "$results"
passed=$(grep -c ok "$results") failed=$(grep -c bad "$results")
rm -f "$results"
echo "fuzz: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -eq $# ]
