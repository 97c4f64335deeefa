"""The three sets of the scoring benchmark as pairs and groups of plain strings, and what a pass over them costs.

A row is {"id", "prompt", "responses"}. LLMBar and PandaLM have two responses, GSM8K the four model answers.
"""
import json
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("MERIT_SHARED_DATA", ROOT / "../shared/data"))
NAMES = ("llmbar", "pandalm", "gsm8k")
BATCH = 8  # rows a batch of RewardBench's runner


def load(name):
    """Every row of a set, in the order of its files."""
    if name == "llmbar":
        items = [item for part in ("natural", "gptinst", "gptout", "manual", "neighbor")
                 for item in json.loads((DATA / "llmbar" / f"{part}.json").read_text())]
        rows = [(item["input"], [item["output_1"], item["output_2"]]) for item in items]
    elif name == "pandalm":
        items = json.loads((DATA / "pandalm_test.json").read_text())
        rows = [("\n\n".join(filter(None, (item["instruction"], item["input"]))),
                 [str(item["response1"]), str(item["response2"])]) for item in items]
    else:
        models = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
        items = [json.loads(line) for line in (DATA / "gsm8k_model_solutions.jsonl").read_text().splitlines()]
        rows = [(item["question"], [item[m]["solution"] for m in models]) for item in items]
    return [{"id": f"{name}-{i}", "prompt": prompt, "responses": responses}
            for i, (prompt, responses) in enumerate(rows)]


def subset():
    """{set: [row indices]}, the committed default."""
    return json.loads((Path(__file__).parent / "subset.json").read_text())["rows"]


def without_duplicates(rows):
    """Rows whose every response is new; the others are left out whole, so both sides do the same work."""
    seen, kept = set(), []
    for row in rows:
        keys = {(row["prompt"], response) for response in row["responses"]}
        if len(keys) == len(row["responses"]) and not keys & seen:
            kept.append(row)
        seen |= keys
    return kept


def batches(rows):
    """RewardBench's order: in the file's order, batches of eight rows, one response after the other."""
    for begin in range(0, len(rows), BATCH):
        part = rows[begin:begin + BATCH]
        for k in range(len(part[0]["responses"])):
            yield [(row["prompt"], row["responses"][k]) for row in part]


def padded_tokens(lengths_of, rows):
    """Tokens that padded batches push through the model."""
    total = 0
    for batch in batches(rows):
        lengths = [lengths_of[key] for key in batch]
        total += max(lengths) * len(lengths)
    return total


def unique_tokens(ids_of, rows):
    """Nodes of the forest of all rows: what is left when every shared prefix is computed once."""
    total, before = 0, []
    for ids in sorted(ids_of[(row["prompt"], response)] for row in rows for response in row["responses"]):
        shared = 0
        while shared < min(len(ids), len(before)) and ids[shared] == before[shared]:
            shared += 1
        total += len(ids) - shared
        before = ids
    return total
