"""A reward model trained here, written as a folder, scores the same in transformers."""
import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

ROOT = Path(__file__).resolve().parents[2]
MERIT = ROOT / os.environ.get("MERIT_BUILD", "build/release") / "merit"
sys.path.insert(0, str(ROOT / "tests" / "apps"))
from conftest import write_tiny_model  # noqa: E402


def merit(*args):
    done = subprocess.run([MERIT, *map(str, args)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@torch.no_grad()
def test_a_converted_reward_model_scores_the_same_there(tmp_path):
    tiny = write_tiny_model(tmp_path / "tiny")
    rows = [{"id": str(i), "prompt": f"Is {i} even?", "responses": ["yes", "no, it is odd", "Größe " + "x" * i],
             "labels": [int(i % 2 == 0), i % 2, 0]} for i in range(1, 13)]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    merit("train", data, "--model", tiny, "--out", tmp_path / "head")
    merit("model", "convert", tiny, "--head", tmp_path / "head", "--out", tmp_path / "rm")
    merit("score", data, "--reward", f"head:{tmp_path / 'rm'}", "--out", tmp_path / "scored.jsonl")

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "rm")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "rm", dtype=torch.float32).eval()
    assert model.config.num_labels == 1
    compared = 0
    for line in (tmp_path / "scored.jsonl").read_text().splitlines():
        row = json.loads(line)
        for response, ours in zip(row["responses"], row["scores"]["head"]):
            text = f"<|im_start|>user\n{row['prompt']}<|im_end|>\n<|im_start|>assistant\n{response}<|im_end|>"
            ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
            # Without a pad token transformers reads the last position, which is the end of the turn here.
            model.config.pad_token_id = None
            theirs = model(ids).logits[0, 0].item()
            assert abs(theirs - ours) <= 1e-5 * max(1.0, abs(theirs)), (response, theirs, ours)
            compared += 1
    assert compared == 36
