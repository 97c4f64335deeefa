"""Reward models as they are published, scored by `merit score` and by a few lines of Python a layout: random weights on a
tiny llama for decoders, transformers' own classes for encoders."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer, LlamaModel

ROOT = pathlib.Path(__file__).resolve().parents[2]
MERIT = ROOT / os.environ.get("MERIT_BUILD", "build/release") / "merit"
sys.path.insert(0, str(ROOT / "tests" / "apps"))
sys.path.insert(0, str(ROOT / "tests" / "peers"))
from conftest import write_tiny_model  # noqa: E402
from test_encoders import MINILM, MODELS  # noqa: E402

H = 32
ROWS = [
    {"id": str(i), "prompt": f"Is {i} even?", "responses": ["yes", "no, it is odd", "Größe " + "x" * i]} for i in range(1, 4)
]


def score(folder, tmp_path):
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    out = tmp_path / "scored.jsonl"
    done = subprocess.run(
        [MERIT, "score", data, "--reward", f"head:{folder}", "--dtype", "float32", "--out", out, "--overwrite"],
        capture_output=True, text=True, timeout=300,
    )
    return done, out


def scores(folder, tmp_path):
    done, out = score(folder, tmp_path)
    assert done.returncode == 0, done.stderr
    return [[row["scores"]["head"][k] for k in range(3)] for row in map(json.loads, out.read_text().splitlines())]


def close(got, want):
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape == (3, 3)
    worst = np.max(np.abs(got - want) / np.maximum(1, np.abs(want)))
    assert worst < 1e-5, worst
    assert np.unique(want.round(4)).size == 9  # the texts are told apart


def linear(x, w, b=None):
    return torch.nn.functional.linear(x, w, b)


# Tensors of the head, what config.json says, and the reward from the states [tokens, H] of one text.
DECODERS = {
    "starling": ({"v_head.weight": (1, H)}, {}, lambda t, h: linear(h[-1], t["v_head.weight"])),
    "ultrarm": ({"regression_head.weight": (1, H)}, {}, lambda t, h: linear(h[-1], t["regression_head.weight"])),
    "classification": (
        {"score.weight": (1, H)}, {"architectures": ["LlamaForSequenceClassification"], "id2label": {"0": "LABEL_0"}},
        lambda t, h: linear(h[-1], t["score.weight"]),
    ),
    "beaver_plain": (
        {"score_head.weight": (1, H), "score_head.bias": (1,), "normalizer.mean": (1,), "normalizer.var": (1,)},
        {"score_type": "reward", "do_normalize": False},
        lambda t, h: linear(h[-1], t["score_head.weight"], t["score_head.bias"]),
    ),
    "beaver_reward": (
        {"score_head.weight": (1, H), "normalizer.mean": (1,), "normalizer.var": (1,)},
        {"score_type": "reward", "do_normalize": True},
        lambda t, h: (linear(h[-1], t["score_head.weight"]) - t["normalizer.mean"]) / (t["normalizer.var"].sqrt() + 1e-8),
    ),
    "beaver_cost": (
        {"score_head.weight": (1, H), "normalizer.mean": (1,), "normalizer.var": (1,)},
        {"score_type": "cost", "do_normalize": True},
        lambda t, h: -linear(h[-1], t["score_head.weight"]) / (t["normalizer.var"].sqrt() + 1e-8),
    ),
    "grm": (
        {"v_head.summary.0.weight": (16, H), "v_head.summary.0.bias": (16,), "v_head.summary.2.weight": (1, 16),
         "v_head.summary.2.bias": (1,)}, {},
        lambda t, h: linear(
            linear(h[-1], t["v_head.summary.0.weight"], t["v_head.summary.0.bias"]).relu(),
            t["v_head.summary.2.weight"], t["v_head.summary.2.bias"],
        ),
    ),
    "trl_value_head": (
        {"v_head.summary.weight": (1, H), "v_head.summary.bias": (1,)}, {},
        lambda t, h: linear(h[-1], t["v_head.summary.weight"], t["v_head.summary.bias"]),
    ),
    "inf_orm": (
        {"score.0.weight": (H, H), "score.0.bias": (H,), "score.2.weight": (1, H), "score.2.bias": (1,)},
        {"architectures": ["INFORMForSequenceClassification"]},
        lambda t, h: linear(
            linear(h[-1], t["score.0.weight"], t["score.0.bias"]).relu(), t["score.2.weight"], t["score.2.bias"]
        ),
    ),
    "internlm2_reward": ({"v_head.weight": (1, H)}, {"reward_token_id": 77}, lambda t, h: linear(h[-1], t["v_head.weight"])),
    "openassistant_mean": (
        {"out_proj.weight": (1, H), "out_proj.bias": (1,)}, {"pooling": "mean"},
        lambda t, h: linear(h.mean(0), t["out_proj.weight"], t["out_proj.bias"]),
    ),
    "openassistant_last": (
        {"out_proj.weight": (1, H), "out_proj.bias": (1,)}, {"pooling": "last"},
        lambda t, h: linear(h[-1], t["out_proj.weight"], t["out_proj.bias"]),
    ),
    "token_classification": (
        {"score.weight": (2, H), "score.bias": (2,)},
        {"architectures": ["LlamaForTokenClassification"], "id2label": {"0": "bad", "1": "good"}},
        lambda t, h: linear(h[-1], t["score.weight"], t["score.bias"]).log_softmax(-1) @ torch.tensor([-1.0, 1.0]),
    ),
}


def decoder_folder(folder, tensors, config, pickled=False, seed=7):
    write_tiny_model(folder)
    generator = torch.Generator().manual_seed(seed)
    head = {name: torch.randn(shape, generator=generator) for name, shape in tensors.items()}
    if "normalizer.var" in head:
        head["normalizer.var"] = head["normalizer.var"].square() + 0.5
    path = folder / "model.safetensors"
    everything = safetensors.torch.load_file(path) | head
    if pickled:
        path.unlink()
        torch.save(everything, folder / "pytorch_model.bin")
    else:
        safetensors.torch.save_file(everything, path, metadata={"format": "pt"})
    written = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(written | config))
    return head


@torch.no_grad()
def decoder_rewards(folder, head, config, rule):
    base = folder.with_name(folder.name + "_base")
    write_tiny_model(base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = LlamaModel.from_pretrained(base, dtype=torch.float32).eval()
    rewards = []
    for row in ROWS:
        rewards.append([])
        for response in row["responses"]:
            text = f"<|im_start|>user\n{row['prompt']}<|im_end|>\n<|im_start|>assistant\n{response}<|im_end|>"
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            if "reward_token_id" in config and ids[-1] != config["reward_token_id"]:
                ids = ids + [config["reward_token_id"]]
            states = model(torch.tensor([ids])).last_hidden_state[0]
            rewards[-1].append(rule(head, states).item())
    return rewards


@pytest.mark.parametrize("name", DECODERS)
def test_decoder_heads(name, tmp_path):
    tensors, config, rule = DECODERS[name]
    head = decoder_folder(tmp_path / "m", tensors, config)
    close(scores(tmp_path / "m", tmp_path), decoder_rewards(tmp_path / "m", head, config, rule))


def test_a_pickled_checkpoint_scores_the_same(tmp_path):
    tensors, config, rule = DECODERS["grm"]
    decoder_folder(tmp_path / "m", tensors, config)
    decoder_folder(tmp_path / "p", tensors, config, pickled=True)
    assert scores(tmp_path / "m", tmp_path) == scores(tmp_path / "p", tmp_path)


REFUSED = {
    "armo_rm": ({"gating.layers.0.weight": (4, H), "regression_layer.weight": (19, H)}, {}, "weighs several objectives"),
    "qrm": ({"regression_layer.weight": (19, H), "score.weight": (1, H)}, {}, "weighs several objectives"),
    "unknown layers": ({"score.0.weight": (4, H), "score.2.weight": (1, 4)}, {}, "activation is not known"),
    "a gap": ({"v_head.summary.0.weight": (4, H), "v_head.summary.4.weight": (1, 4)}, {}, "gap"),
    "normalised rows": ({"v_head.summary.norm.weight": (H,), "v_head.summary.0.weight": (1, H)}, {}, "summary.norm.weight"),
    "pooling": ({"out_proj.weight": (1, H)}, {"pooling": "median"}, "median"),
    "two labels": ({"score.weight": (2, H)}, {"id2label": {"0": "a", "1": "b"}}, "2 outputs"),
    "misfit": ({"v_head.summary.0.weight": (4, H), "v_head.summary.2.weight": (1, 5)}, {}, "a layer gives 4"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_heads_that_are_refused_by_name(name, tmp_path):
    tensors, config, expected = REFUSED[name]
    decoder_folder(tmp_path / "m", tensors, config)
    done, _ = score(tmp_path / "m", tmp_path)
    assert done.returncode == 1 and expected in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


# ---- encoders, as cross-encoders of prompt and response

ENCODERS = {
    "bert": {}, "roberta": {}, "deberta": {"pooler_hidden_act": "gelu"}, "deberta_types": {"pooler_hidden_act": "tanh"},
    "modernbert": {"classifier_pooling": "cls"}, "modernbert_biased": {"classifier_pooling": "mean", "classifier_bias": True},
}


def encoder_folder(folder, name, auto, **changes):
    config = type(MODELS[name])(**MODELS[name].to_dict() | dict(vocab_size=30522, **changes))
    torch.manual_seed(3)
    model = auto.from_config(config, attn_implementation="eager").float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        (folder / file).write_bytes((MINILM / file).read_bytes())
    return model


@torch.no_grad()
def encoder_logits(model, folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for row in ROWS:
        for response in row["responses"]:
            inputs = tokenizer(row["prompt"], response, return_tensors="pt")
            if getattr(model.config, "type_vocab_size", 0) < 2:
                inputs.pop("token_type_ids", None)
            yield model(**inputs).logits[0]


@pytest.mark.skipif(not MINILM.exists(), reason=f"no MiniLM at {MINILM}: scripts/bootstrap.sh installs it")
@pytest.mark.parametrize("name", ENCODERS)
def test_encoder_heads(name, tmp_path):
    folder = tmp_path / "m"
    model = encoder_folder(folder, name, AutoModelForSequenceClassification, num_labels=1, **ENCODERS[name])
    want = [logits.item() for logits in encoder_logits(model, folder)]
    close(scores(folder, tmp_path), np.reshape(want, (3, 3)))


@pytest.mark.skipif(not MINILM.exists(), reason=f"no MiniLM at {MINILM}: scripts/bootstrap.sh installs it")
@pytest.mark.parametrize("name", ["bert", "modernbert"])
def test_encoder_token_heads(name, tmp_path):
    folder = tmp_path / "m"
    model = encoder_folder(folder, name, AutoModelForTokenClassification, num_labels=2)
    want = [(logits[-1, 1] - logits[-1, 0]).item() for logits in encoder_logits(model, folder)]
    close(scores(folder, tmp_path), np.reshape(want, (3, 3)))


@pytest.mark.skipif(not MINILM.exists(), reason=f"no MiniLM at {MINILM}: scripts/bootstrap.sh installs it")
def test_what_an_encoder_cannot_do_says_so(tmp_path):
    done, _ = score(MINILM, tmp_path)
    assert done.returncode == 1 and "no score head" in done.stderr, done.stderr
    data = tmp_path / "rows.jsonl"
    done = subprocess.run(
        [MERIT, "score", data, "--reward", "likelihood", "--model", MINILM, "--out", tmp_path / "o.jsonl"],
        capture_output=True, text=True, timeout=300,
    )
    assert done.returncode == 1 and "an encoder gives no log-probabilities" in done.stderr, done.stderr
