#!/usr/bin/env python3
"""Makes a random-weight bfloat16 llama folder in shards, scores two short rows with it, and compares the peak of memory
with the size of the weights.

    scripts/score_memory.py MERIT FOLDER [--parameters 3.0e9] [--shard-gb 2] [--keep]

Needs nothing but Python. FOLDER is made, and removed unless --keep is given."""

import argparse
import json
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import time

BLOCK = 1 << 20


def shapes(parameters):
    """A llama of about that many parameters: 3e9 gives 26 layers of 3072."""
    hidden = 3072 if parameters > 1e9 else 1024
    vocab, feed, kv = (65536, 8192, 1024) if parameters > 1e9 else (32768, 2816, 256)
    layer = hidden * (2 * hidden + 2 * kv) + 3 * hidden * feed + 2 * hidden
    layers = max(1, round((parameters - 2 * vocab * hidden) / layer))
    config = dict(
        architectures=["LlamaForCausalLM"], model_type="llama", dtype="bfloat16", vocab_size=vocab, hidden_size=hidden,
        intermediate_size=feed, num_hidden_layers=layers, num_attention_heads=hidden // 128,
        num_key_value_heads=kv // 128, head_dim=128, max_position_embeddings=4096, rms_norm_eps=1e-5, hidden_act="silu",
        rope_theta=10000.0, tie_word_embeddings=False, bos_token_id=None, eos_token_id=None,
    )
    tensors = [("model.embed_tokens.weight", [vocab, hidden])]
    for i in range(layers):
        at = f"model.layers.{i}."
        tensors += [
            (at + "input_layernorm.weight", [hidden]), (at + "self_attn.q_proj.weight", [hidden, hidden]),
            (at + "self_attn.k_proj.weight", [kv, hidden]), (at + "self_attn.v_proj.weight", [kv, hidden]),
            (at + "self_attn.o_proj.weight", [hidden, hidden]), (at + "post_attention_layernorm.weight", [hidden]),
            (at + "mlp.gate_proj.weight", [feed, hidden]), (at + "mlp.up_proj.weight", [feed, hidden]),
            (at + "mlp.down_proj.weight", [hidden, feed]),
        ]
    return config, tensors + [("model.norm.weight", [hidden]), ("lm_head.weight", [vocab, hidden])]


def size(shape):
    return 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)


def noise():
    """A block of bfloat16 values of the size trained weights have: sign and mantissa random, exponent 2^-6 or 2^-7."""
    draw = random.Random(1)
    values = (((draw.getrandbits(1) << 15) | ((120 + draw.getrandbits(1)) << 7) | draw.getrandbits(7)) for _ in range(BLOCK // 2))
    return struct.pack(f"<{BLOCK // 2}H", *values)


def write_shard(path, tensors, block):
    header, at = {}, 0
    for name, shape in tensors:
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size(shape)]}
        at += size(shape)
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for i, (_, shape) in enumerate(tensors):
            left, turn = size(shape), (i * 7919) % BLOCK // 2 * 2
            if len(shape) == 1:  # norms: ones
                out.write(struct.pack("<H", 0x3F80) * (left // 2))
                continue
            turned = block[turn:] + block[:turn]
            while left > 0:
                out.write(turned[:left])
                left -= len(turned[:left])


def make(folder, parameters, shard_bytes):
    config, tensors = shapes(parameters)
    folder.mkdir(parents=True)
    block, shards = noise(), [[]]
    for tensor in tensors:
        if shards[-1] and sum(size(s) for _, s in shards[-1]) + size(tensor[1]) > shard_bytes:
            shards.append([])
        shards[-1].append(tensor)
    names = {}
    for i, shard in enumerate(shards):
        file = f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
        write_shard(folder / file, shard, block)
        names.update({name: file for name, _ in shard})
    total = sum(size(shape) for _, shape in tensors)
    index = {"metadata": {"total_size": total}, "weight_map": names}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(config))
    vocabulary = {chr(i): i for i in range(0x20, 0x7F)}
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": None, "post_processor": None, "decoder": None,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": vocabulary, "merges": []}}))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    return total, len(shards), total // 2


PEAK = """
import os, resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def score(merit, folder):
    """Peak of resident memory in bytes, mapped pages counted, and seconds."""
    rows = folder / "rows.jsonl"
    rows.write_text('{"prompt": "The sky is", "completion": " blue."}\n{"prompt": "The sky is", "completion": " green!"}\n')
    command = [merit, "score", rows, "--model", folder, "--dtype", "bfloat16", "--reward", "likelihood",
               "--out", folder / "scored.jsonl"]
    began = time.time()
    done = subprocess.run([sys.executable, "-c", PEAK, *map(str, command)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return int(done.stdout.split()[-1]) * 1024, time.time() - began


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("merit")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--parameters", type=float, default=3.0e9)
    parser.add_argument("--shard-gb", type=float, default=2)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    try:
        weights, shards, parameters = make(options.folder, options.parameters, options.shard_gb * 1e9)
        peak, seconds = score(options.merit, options.folder)
        print(json.dumps({"parameters": parameters, "shards": shards, "weight_bytes": weights, "peak_bytes": peak,
                          "over_bytes": peak - weights, "seconds": round(seconds, 1)}))
    finally:
        if not options.keep:
            shutil.rmtree(options.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
