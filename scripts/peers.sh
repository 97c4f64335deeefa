#!/usr/bin/env bash
# Runs the reference systems on the same input as merit and compares.
#   scripts/peers.sh [BUILD] [TEST FILES...]
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
shift || true
[ $# -gt 0 ] || set -- tests/peers
export MERIT_BUILD=$build OMP_WAIT_POLICY=PASSIVE HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 TOKENIZERS_PARALLELISM=false
.venv-peers/bin/python - <<'PY'
from importlib.metadata import version
print("peers:", ", ".join(f"{n} {version(n)}" for n in ("transformers", "tokenizers", "jinja2", "trl", "gguf", "torch")))
PY
log=$build/peers.log
.venv-peers/bin/python -m pytest -q -p no:cacheprovider --durations=8 -rs "$@" 2>&1 | tee "$log"
code=${PIPESTATUS[0]}
line=$(grep -E '^[0-9]+ (passed|failed|skipped|error)|passed|failed' "$log" | tail -n 1)
number() { grep -oE "[0-9]+ $1" <<< "$line" | grep -oE '[0-9]+' || echo 0; }
p=$(number passed) f=$(($(number failed) + $(number error))) s=$(number skipped)
if [ "$code" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
echo "peers: $p passed, $f failed, $s skipped"
[ "$f" -eq 0 ] && [ "$p" -gt 0 ]
