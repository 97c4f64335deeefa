"""The command line as a user meets it: real processes, real files, and a tiny random model made here."""
import json
import os
import struct
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MERIT = ROOT / os.environ.get("MERIT_BUILD", "build/release") / "merit"


def run(*args, cwd=None, stdin=None, timeout=120):
    """The finished process of one merit command."""
    environment = dict(os.environ, OMP_WAIT_POLICY="PASSIVE")
    return subprocess.run([MERIT, *map(str, args)], cwd=cwd, input=stdin, capture_output=True, text=True,
                          timeout=timeout, env=environment)


def rows(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def write_rows(path, items):
    Path(path).write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


def _byte_alphabet():
    """GPT-2's printable stand-ins for the 256 bytes."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, extra = {}, 0
    for byte in range(256):
        table[byte] = chr(byte) if byte in visible else chr(256 + extra)
        extra += byte not in visible
    return table


def write_tiny_model(folder, hidden=32, layers=2, seed=0):
    """A llama folder with random weights and one token a byte."""
    import random
    generator = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocab = {token: i for i, token in enumerate(specials)}
    for token in _byte_alphabet().values():
        vocab[token] = len(vocab)
    heads, kv_heads, ffn = 4, 2, 48
    config = dict(architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=len(vocab), hidden_size=hidden,
                  num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv_heads,
                  intermediate_size=ffn, max_position_embeddings=256, rms_norm_eps=1e-5, rope_theta=10000.0,
                  tie_word_embeddings=True, hidden_act="silu", bos_token_id=1, eos_token_id=2, torch_dtype="float32")
    (folder / "config.json").write_text(json.dumps(config))
    added = [dict(id=i, content=t, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
             for i, t in enumerate(specials)]
    byte_level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
    (folder / "tokenizer.json").write_text(json.dumps(dict(
        version="1.0", truncation=None, padding=None, added_tokens=added, normalizer=None, pre_tokenizer=byte_level,
        post_processor=None, decoder=byte_level,
        model=dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None,
                   fuse_unk=False, byte_fallback=False, ignore_merges=False, vocab=vocab, merges=[]))))
    template = ("{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
                "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
    (folder / "tokenizer_config.json").write_text(json.dumps(dict(
        bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>", chat_template=template,
        add_bos_token=False, tokenizer_class="GPT2Tokenizer")))
    size = hidden // heads
    shapes = {"model.embed_tokens.weight": [len(vocab), hidden], "model.norm.weight": [hidden]}
    for i in range(layers):
        at = f"model.layers.{i}."
        shapes |= {at + "input_layernorm.weight": [hidden], at + "post_attention_layernorm.weight": [hidden],
                   at + "self_attn.q_proj.weight": [heads * size, hidden],
                   at + "self_attn.k_proj.weight": [kv_heads * size, hidden],
                   at + "self_attn.v_proj.weight": [kv_heads * size, hidden],
                   at + "self_attn.o_proj.weight": [hidden, heads * size],
                   at + "mlp.gate_proj.weight": [ffn, hidden], at + "mlp.up_proj.weight": [ffn, hidden],
                   at + "mlp.down_proj.weight": [hidden, ffn]}
    header, body = {}, b""
    for name, shape in shapes.items():
        count = 1
        for dimension in shape:
            count *= dimension
        values = [1.0] * count if len(shape) == 1 else [generator.gauss(0, 0.2) for _ in range(count)]
        data = struct.pack(f"<{count}f", *values)
        header[name] = dict(dtype="F32", shape=shape, data_offsets=[len(body), len(body) + len(data)])
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "model")
