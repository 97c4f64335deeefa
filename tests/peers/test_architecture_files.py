"""Decoder files other than what transformers saves: GGUF of each architecture, InternLM2's layout, folders written here.

The GGUF files are made of a random model's folder as llama.cpp's converter makes them; where transformers reads GGUF of
that architecture, it must find the same model in the file."""

import json
import pathlib
import re
import subprocess
import sys

import gguf
import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file, save_file
from test_architectures import CASES, SMALL, TOOLS, close, compare, forward, make, paths, results, rope, run, save

FOLDER_TO_GGUF = [
    (r"model\.embed_tokens|transformer\.wte|gpt_neox\.embed_in|model\.tok_embeddings", "token_embd"),
    (r"transformer\.wpe", "position_embd"),
    (r"model\.norm|transformer\.ln_f|gpt_neox\.final_layer_norm", "output_norm"),
    (r"^lm_head|^embed_out|^output(?=\.)", "output"),
    (r"model\.layers|transformer\.h|gpt_neox\.layers", "blk"),
    (r"self_attn\.(q|k|v)_proj", r"attn_\1"),
    (r"self_attn\.(q|k)_norm", r"attn_\1_norm"),
    (r"self_attn\.o_proj|attn\.c_proj|attention\.dense", "attn_output"),
    (r"self_attn\.qkv_proj|attn\.c_attn|attention\.query_key_value", "attn_qkv"),
    (r"mlp\.gate_up_proj|mlp\.c_fc|mlp\.dense_h_to_4h|mlp\.up_proj", "ffn_up"),
    (r"mlp\.gate_proj", "ffn_gate"),
    (r"mlp\.down_proj|mlp\.c_proj|mlp\.dense_4h_to_h", "ffn_down"),
    (r"(mlp|block_sparse_moe)\.gate(?=\.)", "ffn_gate_inp"),
    (r"input_layernorm|ln_1", "attn_norm"),
    (r"pre_feedforward_layernorm|ln_2", "ffn_norm"),
    (r"post_feedforward_layernorm", "post_ffw_norm"),
]
EXPERT = re.compile(r"(.*)\.experts\.(\d+)\.(w1|w2|w3|gate_proj|up_proj|down_proj)\.weight")
EXPERT_PART = {"w1": "gate", "gate_proj": "gate", "w3": "up", "up_proj": "up", "w2": "down", "down_proj": "down"}


def in_pairs(rows, heads):
    """Rotary halves of a head in neighbouring rows."""
    shape = (heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return rows.reshape(shape).swapaxes(1, 2).reshape(rows.shape)


def gguf_tensors(folder, config, arch, pairs, norm_offset):
    post_norms = "post_ffw" if arch in ("gemma2", "gemma3", "olmo2") else None
    heads = config.num_attention_heads
    kv_heads = getattr(config, "num_key_value_heads", heads)
    out, experts = {}, {}
    for name, value in load_file(folder / "model.safetensors").items():
        value = value.astype(np.float32)
        if found := EXPERT.match(name):
            stem = re.sub(r"model\.layers\.(\d+).*", r"blk.\1", found[1])
            experts.setdefault(f"{stem}.ffn_{EXPERT_PART[found[3]]}_exps.weight", {})[int(found[2])] = value
            continue
        new = re.sub(r"post_attention_layernorm", "post_attention_norm" if post_norms else "ffn_norm", name)
        for pattern, replacement in FOLDER_TO_GGUF:
            new = re.sub(pattern, replacement, new)
        if arch == "gpt2" and value.ndim == 2 and re.search(r"attn_qkv|attn_output|ffn_", new):
            value = value.T
        if pairs and (".attn_q." in new or ".attn_k." in new):
            value = in_pairs(value, heads if ".attn_q." in new else kv_heads)
        if arch == "gptneox" and "attn_qkv" in new:
            dim = value.shape[0] // heads // 3
            split = value.reshape(heads, 3, dim, *value.shape[1:])
            value = np.concatenate([split[:, i].reshape(heads * dim, *value.shape[1:]) for i in range(3)])
        if norm_offset and "norm" in new:
            value = value + np.float32(norm_offset)
        out[new] = np.ascontiguousarray(value)
    for name, parts in experts.items():
        out[name] = np.stack([parts[e] for e in sorted(parts)])
    return out


def write_gguf(path, folder, arch, pairs=False, norm_offset=0, **extra):
    config = transformers.AutoConfig.from_pretrained(folder)
    writer = gguf.GGUFWriter(path, arch)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_vocab_size(config.vocab_size)
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    writer.add_feed_forward_length(inner)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(getattr(config, "num_key_value_heads", config.num_attention_heads))
    if arch in ("gpt2", "gptneox"):
        writer.add_layer_norm_eps(getattr(config, "layer_norm_epsilon", 1e-5))
    else:
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if arch != "gpt2":
        theta = config.rope_parameters.get("rope_theta") or config.rope_parameters["full_attention"]["rope_theta"]
        writer.add_rope_freq_base(theta)
        part = config.rope_parameters.get("partial_rotary_factor", 1)
        writer.add_rope_dimension_count(int(head_dim * part))
    factors = extra.pop("factors", {})
    for key, value in extra.items():
        add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}[type(value)]
        add(f"{arch}.{key.replace('__', '.')}", value)
    for name, value in {**gguf_tensors(folder, config, arch, pairs, norm_offset), **factors}.items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


LONG = [1.0, 2.0, 3.5, 5.0]
SHORT = [1.0, 1.1, 1.2, 1.3]
GGUF_CASES = {
    # case of test_architectures: (GGUF's name, whether transformers reads it, what write_gguf needs)
    "llama": ("llama", True, dict(pairs=True)),
    "llama_linear": ("llama", False, dict(pairs=True, rope__scaling__type="linear", rope__scaling__factor=4.0)),
    "mixtral": ("llama", False, dict(pairs=True, expert_count=5, expert_used_count=2)),
    "qwen2": ("qwen2", True, {}),
    "qwen3": ("qwen3", False, {}),
    "qwen3_moe_gguf": ("qwen3moe", False, dict(expert_count=5, expert_used_count=2, expert_feed_forward_length=40)),
    "gemma2_gguf": ("gemma2", False, dict(norm_offset=1, attention__sliding_window=11, attn_logit_softcapping=4.0, final_logit_softcapping=3.0)),
    "gemma3_gguf": ("gemma3", False, dict(norm_offset=1, attention__sliding_window=14, rope__scaling__type="linear", rope__scaling__factor=8.0)),
    "granite": ("granite", False, dict(pairs=True, embedding_scale=3.0, residual_scale=0.4, attention__scale=0.2, logit_scale=4.0)),
    "olmo2": ("olmo2", False, {}),
    "phi3": ("phi3", False, {}),
    "phi3_longrope": ("phi3", False, dict(
        rope__scaling__original_context_length=40, rope__scaling__attn_factor=float(np.sqrt(1 + np.log(128 / 40) / np.log(40))),
        factors={"rope_factors_long.weight": np.float32(LONG), "rope_factors_short.weight": np.float32(SHORT)})),
    "gpt2": ("gpt2", False, {}),
    "gpt_neox": ("gptneox", False, dict(use_parallel_residual=True)),
}
# What GGUF has no key for is as llama.cpp derives it.
CASES["gemma2_gguf"] = ("Gemma2", SMALL, dict(sliding_window=11, query_pre_attn_scalar=8, attn_logit_softcapping=4.0, final_logit_softcapping=3.0))
CASES["gemma3_gguf"] = ("Gemma3Text:Gemma3", CASES["gemma3"][1], dict(CASES["gemma3"][2], query_pre_attn_scalar=8))
CASES["qwen3_moe_gguf"] = ("Qwen3Moe", SMALL, dict(num_experts=5, num_experts_per_tok=2, moe_intermediate_size=40, norm_topk_prob=True))


@torch.no_grad()
@pytest.mark.parametrize("name", GGUF_CASES)
def test_gguf(name, tmp_path):
    arch, known, extra = GGUF_CASES[name]
    model = make(name)
    folder = save(model, tmp_path / "folder")
    write_gguf(tmp_path / "model.gguf", folder, arch, **extra)
    compare(model, tmp_path / "model.gguf", 2)
    if known:
        theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf", dtype=torch.float32)
        ids = paths(3)[0]
        close(theirs.eval()(torch.tensor([ids])).logits[0], forward(model, ids)[1], 1e-5, "transformers' own reading")


@torch.no_grad()
@pytest.mark.parametrize("kind", ["plain", "dynamic"])
def test_internlm2_is_a_llama_in_another_layout(kind, tmp_path):
    """The published remote code's layout: wqkv by key-value group, w1, w3 and w2; tokens as GGUF has them too."""
    scaling = rope("dynamic", factor=4.0) if kind == "dynamic" else {}
    positions = 40 if kind == "dynamic" else 128
    CASES["internlm2"] = ("Llama", {**SMALL, "max_position_embeddings": positions}, dict(attention_bias=True, **scaling))
    model = make("internlm2")
    llama = save(model, tmp_path / "llama")
    tensors, out = load_file(llama / "model.safetensors"), {}
    names = [("model.embed_tokens", "model.tok_embeddings"), ("lm_head", "output"), ("self_attn.o_proj", "attention.wo"),
             ("input_layernorm", "attention_norm"), ("post_attention_layernorm", "ffn_norm"), ("mlp.gate_proj", "feed_forward.w1"),
             ("mlp.up_proj", "feed_forward.w3"), ("mlp.down_proj", "feed_forward.w2")]
    for name, value in tensors.items():
        if "q_proj" in name:
            k, v = (tensors[name.replace("q_proj", other)].reshape(2, 1, 8, -1) for other in ("k_proj", "v_proj"))
            fused = np.concatenate([value.reshape(2, 3, 8, -1), k, v], axis=1)
            out[name.replace("self_attn.q_proj", "attention.wqkv")] = fused.reshape(-1, *value.shape[1:])
        elif "k_proj" not in name and "v_proj" not in name:
            for there, here in names:
                name = name.replace(there, here)
            out[name] = value
    folder = tmp_path / "internlm2"
    folder.mkdir()
    save_file(out, folder / "model.safetensors")
    config = json.loads((llama / "config.json").read_text())
    scaling = config.pop("rope_parameters")
    config.update(model_type="internlm2", architectures=["InternLM2ForCausalLM"], bias=config.pop("attention_bias"))
    config.update(rope_theta=scaling.pop("rope_theta"), rope_scaling=scaling if kind == "dynamic" else None)
    (folder / "config.json").write_text(json.dumps(config))
    compare(model, folder, 4)
    if kind == "plain":
        write_gguf(tmp_path / "model.gguf", llama, "internlm2", pairs=True)
        asked = [{"ids": ids, "logps_from": 1} for ids in paths(3)]
        assert results("read_paths", [tmp_path / "model.gguf"], asked) == results("read_paths", [folder], asked)


@torch.no_grad()
@pytest.mark.parametrize("name", ["llama_yarn", "qwen2_window", "qwen3_moe", "mixtral", "gemma2", "gemma3", "phi3_longrope", "gpt2_inner", "gpt_neox", "olmo2", "granite"])
def test_written_folders_are_the_same_model(name, tmp_path):
    """transformers loads the folder written here and finds every value of the one it saved."""
    model = make(name)
    folder = save(model, tmp_path / "folder")
    (folder / "merit_encoding.json").unlink(missing_ok=True)
    run("read_paths", ["--convert", folder, tmp_path / "written", "float32"], [])
    again = type(model).from_pretrained(tmp_path / "written", dtype=torch.float32, attn_implementation="eager").eval()
    mine, theirs = again.state_dict(), model.state_dict()
    assert mine.keys() == theirs.keys()
    for key, value in theirs.items():
        # Gemma's norms are kept as 1 + w here, so w comes back rounded as that sum was.
        assert torch.allclose(mine[key], value, rtol=0, atol=1.2e-7 if "norm" in key and "gemma" in name else 0), key
    ids = paths(7)[2]
    close(forward(again, ids)[1], forward(model, ids)[1], 1e-6, "logits")
    asked = [{"ids": ids, "logps_from": 1}]
    assert results("read_paths", [tmp_path / "written"], asked) == results("read_paths", [folder], asked)


def test_peak_memory_is_that_of_the_weights(tmp_path):
    """A random bfloat16 folder of 200 million parameters, scored: the weights and 250 MB, most of it libtorch's code.
    scripts/score_memory.py does the same with 3 billion, against the weights and 400 MB."""
    script = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "score_memory.py"
    command = [sys.executable, script, TOOLS.parent / "merit", tmp_path / "model", "--parameters", "2e8", "--shard-gb", "0.2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert measured["shards"] > 1
    assert measured["over_bytes"] < 250e6, measured
