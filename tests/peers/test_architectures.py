"""Every decoder architecture against transformers' eager models: small random weights, read, sampled, differentiated.

A case is a class's name and the settings that differ from SMALL. Each is saved by transformers and loaded here, and
compared alone and in forests of paths that share prefixes and are longer than the sliding windows."""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / os.environ.get("MERIT_BUILD", "build/release") / "peers"

SMALL = dict(
    vocab_size=90, hidden_size=48, intermediate_size=72, num_hidden_layers=3, num_attention_heads=6,
    num_key_value_heads=2, head_dim=8, max_position_embeddings=128, initializer_range=0.15,
    bos_token_id=1, eos_token_id=2, pad_token_id=0,
)
GPT2 = dict(
    vocab_size=90, n_embd=48, n_layer=3, n_head=6, n_positions=128, initializer_range=0.15, bos_token_id=1, eos_token_id=2,
    resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
)
NEOX = {key: value for key, value in SMALL.items() if key not in ("num_key_value_heads", "head_dim")}
PHI3 = {key: value for key, value in SMALL.items() if key != "head_dim"}
EXPERTS = dict(num_experts=5, num_local_experts=5, num_experts_per_tok=2, moe_intermediate_size=40)


def rope(kind, **settings):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **settings}}


LONG = [1.0, 2.0, 3.5, 5.0]
CASES = {
    # name: (class, base settings, settings)
    "llama": ("Llama", SMALL, {}),
    "llama_biases_tied": ("Llama", SMALL, dict(attention_bias=True, mlp_bias=True, tie_word_embeddings=True)),
    "llama_gelu": ("Llama", SMALL, dict(hidden_act="gelu")),
    "llama_llama3": ("Llama", SMALL, rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)),
    "llama_linear": ("Llama", SMALL, rope("linear", factor=4.0)),
    "llama_dynamic": ("Llama", {**SMALL, "max_position_embeddings": 40}, rope("dynamic", factor=4.0)),
    "llama_yarn": ("Llama", SMALL, rope("yarn", factor=4.0, original_max_position_embeddings=64)),
    "llama_yarn_mscale": ("Llama", SMALL, rope("yarn", factor=8.0, original_max_position_embeddings=32, mscale=0.7, mscale_all_dim=0.4, beta_fast=16, beta_slow=2, truncate=False)),
    "llama_longrope": ("Llama", SMALL, rope("longrope", factor=4.0, original_max_position_embeddings=40, short_factor=[1.0, 1.1, 1.2, 1.3], long_factor=LONG)),
    "llama_proportional": ("Llama", SMALL, rope("proportional", factor=2.0, partial_rotary_factor=0.5)),
    "mistral": ("Mistral", SMALL, dict(sliding_window=None)),
    "mistral_window": ("Mistral", SMALL, dict(sliding_window=19)),
    "qwen2": ("Qwen2", SMALL, dict(tie_word_embeddings=True)),
    "qwen2_window": ("Qwen2", SMALL, dict(use_sliding_window=True, sliding_window=13, max_window_layers=1)),
    "qwen3": ("Qwen3", SMALL, dict(head_dim=10)),
    "qwen3_biases_window": ("Qwen3", SMALL, dict(attention_bias=True, use_sliding_window=True, sliding_window=21, max_window_layers=2)),
    "gemma2": ("Gemma2", SMALL, dict(sliding_window=11, query_pre_attn_scalar=5, attn_logit_softcapping=4.0, final_logit_softcapping=3.0)),
    "gemma2_untied": ("Gemma2", SMALL, dict(sliding_window=200, tie_word_embeddings=False, attn_logit_softcapping=None, final_logit_softcapping=None)),
    "gemma3": ("Gemma3Text:Gemma3", {**SMALL, "num_hidden_layers": 7}, dict(sliding_window=14, query_pre_attn_scalar=9, rope_parameters={
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}})),
    "phi3": ("Phi3", PHI3, {}),
    "phi3_window_partial": ("Phi3", PHI3, dict(sliding_window=23, rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5})),
    "phi3_longrope": ("Phi3", PHI3, dict(original_max_position_embeddings=40, rope_parameters={
        "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": LONG})),
    "gpt2": ("GPT2", GPT2, {}),
    "gpt2_inner": ("GPT2", GPT2, dict(n_inner=100, activation_function="relu", scale_attn_weights=False)),
    "gpt_neox": ("GPTNeoX", NEOX, dict(rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5})),
    "gpt_neox_sequential": ("GPTNeoX", NEOX, dict(use_parallel_residual=False, attention_bias=False, hidden_act="gelu_fast",
        rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 500.0, "partial_rotary_factor": 1.0})),
    "olmo2": ("Olmo2", SMALL, {}),
    "granite": ("Granite", SMALL, dict(embedding_multiplier=3.0, residual_multiplier=0.4, attention_multiplier=0.2, logits_scaling=4.0)),
    "starcoder2": ("Starcoder2", PHI3, dict(sliding_window=20)),
    "mixtral": ("Mixtral", SMALL, EXPERTS),
    "mixtral_window": ("Mixtral", SMALL, dict(EXPERTS, sliding_window=17, num_experts_per_tok=1)),
    "qwen3_moe": ("Qwen3Moe", SMALL, dict(EXPERTS, mlp_only_layers=[1], norm_topk_prob=False)),
    "qwen3_moe_normalised": ("Qwen3Moe", SMALL, dict(EXPERTS, decoder_sparse_step=2, norm_topk_prob=True)),
}


def run(tool, args, lines):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([TOOLS / tool, *map(str, args)], input=text, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def results(tool, args, lines):
    return [json.loads(line) for line in run(tool, args, lines).splitlines()]


def make(name):
    kind, base, settings = CASES[name]
    config_kind, _, model_kind = kind.partition(":")
    head = "LMHeadModel" if kind == "GPT2" else "ForCausalLM"
    config = getattr(transformers, config_kind + "Config")(**{**base, **settings})
    torch.manual_seed(sum(map(ord, name)))
    model = getattr(transformers, (model_kind or config_kind) + head)._from_config(config, attn_implementation="eager")
    with torch.no_grad():  # biases and norms start at 0 and 1 there, and experts at what no seed reaches
        for key, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
            elif "experts" in key or "gate.weight" in key:
                parameter.normal_(0, 0.15)
    return model.float().eval()


def save(model, folder):
    """The folder, with a tokenizer whose tokens are one character each."""
    model.save_pretrained(folder)
    vocabulary = {chr(0x4E00 + i): i for i in range(90)}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": None, "post_processor": None, "decoder": None,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": vocabulary, "merges": []},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    return folder


def reset(model):
    """Dynamic scaling remembers the longest sequence it saw; a new one starts from the model's own frequencies."""
    for module in model.modules():
        if hasattr(module, "original_inv_freq") and hasattr(module, "original_max_seq_len"):
            module.inv_freq = module.original_inv_freq.clone()
            module.max_seq_len_cached = module.original_max_seq_len


def forward(model, ids):
    reset(model)
    out = model(torch.tensor([ids]), output_hidden_states=True, use_cache=False)
    return out.hidden_states[-1][0], out.logits[0]


def paths(seed, count=6):
    """Random paths over shared stems, from one token to longer than every window and every original context."""
    rng = np.random.default_rng(seed)
    stem = rng.integers(3, 90, 45).tolist()
    shared = [(45, 30), (45, 8), (45, 51), (21, 9), (38, 1), (38, 2), (0, 1), (7, 30)][:count]
    return [stem[:keep] + rng.integers(3, 90, more).tolist() for keep, more in shared]


def close(got, want, tolerance, what):
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape, what
    worst = np.max(np.abs(got - want) / np.maximum(1, np.abs(want)), initial=0)
    assert worst < tolerance, f"{what}: {worst:.2g}"


def logps_of(logits, ids):
    return torch.log_softmax(logits[:-1].double(), -1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]


@torch.no_grad()
def compare(model, folder, seed):
    all_paths = paths(seed, 8)
    asked = [
        {"ids": ids, "logps_from": 1, "hidden_at": list(range(len(ids))), "logits_at": list(range(len(ids)))}
        for ids in all_paths
    ]
    together = results("read_paths", [folder], asked)
    for ids, got in zip(all_paths, together):
        hidden, logits = forward(model, ids)
        close(got["hidden"], hidden, 1e-5, f"hidden states of {len(ids)}")
        close(got["logits"], logits, 1e-5, f"logits of {len(ids)}")
        close(got["logps"], logps_of(logits, ids), 1e-5, f"log-probs of {len(ids)}")
    assert results("read_paths", [folder], [asked[2]])[0] == together[2], "a path alone and in company"


def names_there(model, folder):
    """Parameters of the model as the folder names them: experts one by one, the rest as it is."""
    saved = set()
    for file in folder.glob("*.safetensors"):
        saved |= set(load_file(file))
    own = {}
    for key, parameter in model.named_parameters():
        value = parameter.grad.detach().double().numpy()
        if key in saved:
            own[key] = value
        elif "experts.gate_up_proj" in key or "experts.down_proj" in key:
            mixtral = "mixtral" in model.config.model_type
            stem = key.replace(".mlp.", ".block_sparse_moe.") if mixtral else key
            for e in range(value.shape[0]):
                prefix = stem.rsplit(".", 1)[0] + f".{e}."
                if key.endswith("down_proj"):
                    own[prefix + ("w2" if mixtral else "down_proj") + ".weight"] = value[e]
                else:
                    gate, up = np.split(value[e], 2)
                    own[prefix + ("w1" if mixtral else "gate_proj") + ".weight"] = gate
                    own[prefix + ("w3" if mixtral else "up_proj") + ".weight"] = up
        else:
            renamed = key.replace(".mlp.gate.", ".block_sparse_moe.gate.").replace("lm_head", "embed_out")
            assert renamed in saved, key
            own[renamed] = value
    return own


def compare_gradients(model, folder, tmp_path):
    all_paths = paths(5, 5)
    rng = np.random.default_rng(6)
    asked = [{"ids": ids, "weights": rng.normal(size=len(ids) - 1).tolist()} for ids in all_paths]
    run("forest_gradients", [folder, tmp_path / "gradients.safetensors"], asked)
    ours = load_file(tmp_path / "gradients.safetensors")
    model.zero_grad()
    for request in asked:
        _, logits = forward(model, request["ids"])
        (logps_of(logits, request["ids"]) * torch.tensor(request["weights"])).sum().backward()
    theirs = names_there(model, folder)
    for name, want in theirs.items():
        got = ours.pop(name, None)
        if got is None:
            assert "experts" in name and not want.any(), name
            continue
        scale = max(1.0, float(np.abs(want).max()))
        close(got / scale, want / scale, 1e-5, f"gradient of {name}")
    assert not ours, ours.keys()


@torch.no_grad()
def compare_greedy(model, folder):
    prompts = [paths(9, 8)[i] for i in (4, 7)]  # 39 and 37 tokens: the samples pass 40, where some rotations change
    asked = [{"prompt": ids, "n": 1, "stream": i} for i, ids in enumerate(prompts)]
    samples = results("sample_ids", [folder, '{"temperature": 0, "max_new_tokens": 8}'], asked)
    for prompt, [sample] in zip(prompts, samples):
        ids = list(prompt)
        for token in sample["ids"]:
            assert int(forward(model, ids)[1][-1].argmax()) == token
            ids.append(token)
        close(sample["logps"], logps_of(forward(model, ids)[1], ids)[len(prompt) - 1 :], 1e-5, "sampled log-probs")


@pytest.mark.parametrize("name", CASES)
def test_architecture(name, tmp_path):
    model = make(name)
    folder = save(model, tmp_path / "model")
    compare(model, folder, 1)
    compare_gradients(model, folder, tmp_path)
    compare_greedy(model, folder)
