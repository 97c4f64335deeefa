"""What merit trains, against TRL and PEFT: the same adapter there, and the same steps."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

ROOT = Path(__file__).resolve().parents[2]
MERIT = ROOT / os.environ.get("MERIT_BUILD", "build/release") / "merit"
sys.path.insert(0, str(ROOT / "tests" / "apps"))
from conftest import write_tiny_model  # noqa: E402

PAIRS = [{"id": f"p{i}", "prompt": f"Count to {i}: ", "chosen": " ".join(map(str, range(i + 1))),
          "rejected": f"no, {'x' * i} I will not"} for i in range(2, 10)]


def merit(*args):
    done = subprocess.run([MERIT, *map(str, args)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A model folder without a chat template: texts stand as they are, with the end-of-sequence token behind them."""
    folder = tmp_path_factory.mktemp("base")
    merit("model", "convert", write_tiny_model(folder / "tiny"), "--out", folder / "model")
    config = folder / "model" / "tokenizer_config.json"
    settings = json.loads(config.read_text())
    settings.pop("chat_template", None)
    config.write_text(json.dumps(settings))
    (folder / "model" / "merit_encoding.json").unlink()
    for extra in (folder / "model").glob("*.jinja"):
        extra.unlink()
    return folder / "model"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "pairs.jsonl", PAIRS)


@torch.no_grad()
def log_prob(model, tokenizer, prompt, completion):
    """(sum of ln p over the completion and the end of sequence, the last hidden state's reader)."""
    before = tokenizer(prompt)["input_ids"]
    ids = before + tokenizer(completion, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    logits = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    return sum(logits[t - 1, ids[t]].item() for t in range(len(before), len(ids)))


def scored(model, reward, data, out):
    merit("score", data, "--model", model, "--reward", reward, "--dtype", "float32", "--out", out)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    return [row["scores"][reward.split(":")[0]] for row in rows]


@pytest.mark.parametrize("extra", [[], ["--use-rslora"], ["--use-dora"], ["--lora-target-modules", "q_proj", "v_proj"]],
                         ids=["plain", "rslora", "dora", "targets"])
def test_an_adapter_trained_here_gives_the_same_log_probs_in_peft(tmp_path, base, data, extra):
    merit("train", data, "--model", base, "--out", tmp_path / "out", "--objective", "dpo", "--tune", "lora", "--lora-r", 4,
          "--batch-size", 4, "--max-steps", 6, "--learning-rate", 5e-3, "--dtype", "float32", *extra)
    tokenizer = AutoTokenizer.from_pretrained(base)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    before = [log_prob(plain, tokenizer, row["prompt"], row["chosen"]) for row in PAIRS]
    model = PeftModel.from_pretrained(plain, tmp_path / "out").eval()
    moved = 0
    for row, was, ours in zip(PAIRS, before, scored(tmp_path / "out", "likelihood:sum", data, tmp_path / "s.jsonl"), strict=True):
        theirs = [log_prob(model, tokenizer, row["prompt"], row[side]) for side in ("chosen", "rejected")]
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-4)
        moved += abs(theirs[0] - was) > 0.05
    assert moved > 0


def test_a_reward_adapter_trained_here_scores_the_same_in_peft(tmp_path, base, data):
    merit("train", data, "--model", base, "--out", tmp_path / "out", "--objective", "bradley_terry", "--tune", "lora",
          "--lora-r", 4, "--batch-size", 4, "--max-steps", 6, "--learning-rate", 5e-3, "--dtype", "float32")
    plain = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, dtype=torch.float32)
    model = PeftModel.from_pretrained(plain, tmp_path / "out").eval()
    model.config.pad_token_id = None  # the last position is read, and nothing is padded
    tokenizer = AutoTokenizer.from_pretrained(base)
    for row, ours in zip(PAIRS, scored(tmp_path / "out", f"head:{tmp_path / 'out'}", data, tmp_path / "s.jsonl"), strict=True):
        for side, value in zip(("chosen", "rejected"), ours, strict=True):
            ids = tokenizer(row["prompt"] + row[side])["input_ids"] + [tokenizer.eos_token_id]
            with torch.no_grad():
                theirs = model(torch.tensor([ids])).logits[0, 0].item()
            assert value == pytest.approx(theirs, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("settings", [{}, {"use_rslora": True}, {"use_dora": True}, {"alpha_pattern": {"v_proj": 3}},
                                      {"rank_pattern": {"down_proj": 2}}], ids=str)
def test_an_adapter_made_by_peft_gives_the_same_here(tmp_path, base, data, settings):
    torch.manual_seed(3)
    config = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"],
                        init_lora_weights=False, **settings)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), config).eval()
    model.save_pretrained(tmp_path / "peft")
    tokenizer = AutoTokenizer.from_pretrained(base)
    for row, ours in zip(PAIRS, scored(tmp_path / "peft", "likelihood:sum", data, tmp_path / "s.jsonl"), strict=True):
        theirs = [log_prob(model, tokenizer, row["prompt"], row[side]) for side in ("chosen", "rejected")]
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-4)


def test_a_reward_adapter_made_by_peft_scores_the_same_here_and_never_without_its_head(tmp_path, base, data):
    torch.manual_seed(3)
    config = LoraConfig(task_type="SEQ_CLS", r=4, lora_alpha=8, target_modules=["q_proj"], init_lora_weights=False)
    model = get_peft_model(AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, dtype=torch.float32),
                           config).eval()
    model.config.pad_token_id = None
    model.save_pretrained(tmp_path / "peft")
    tokenizer = AutoTokenizer.from_pretrained(base)
    row = PAIRS[3]
    ids = tokenizer(row["prompt"] + row["chosen"])["input_ids"] + [tokenizer.eos_token_id]
    with torch.no_grad():
        theirs = model(torch.tensor([ids])).logits[0, 0].item()
    ours = scored(tmp_path / "peft", f"head:{tmp_path / 'peft'}", data, tmp_path / "s.jsonl")
    assert ours[3][0] == pytest.approx(theirs, rel=1e-5, abs=1e-5)

    from safetensors.torch import load_file, save_file
    weights = load_file(tmp_path / "peft" / "adapter_model.safetensors")
    save_file({k: v for k, v in weights.items() if "score" not in k}, tmp_path / "peft" / "adapter_model.safetensors")
    done = subprocess.run([MERIT, "score", data, "--model", tmp_path / "peft", "--reward", "likelihood", "--out",
                           tmp_path / "no.jsonl"], capture_output=True, text=True)
    assert done.returncode == 1 and "score head is missing" in done.stderr, done.stderr


def trl_steps(base, adapter, out, full, **settings):
    """The log of TRL's DPOTrainer on the pairs, eight a step so that their order does not matter."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if not full:
        model = PeftModel.from_pretrained(model, adapter, is_trainable=True)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    config = DPOConfig(output_dir=str(out), per_device_train_batch_size=8, num_train_epochs=4, learning_rate=1e-2,
                       lr_scheduler_type="constant", logging_steps=1, report_to=[], bf16=False, use_cpu=True,
                       save_strategy="no", gradient_checkpointing=False, **settings)
    dataset = Dataset.from_list([{k: row[k] for k in ("prompt", "chosen", "rejected")} for row in PAIRS])
    trainer = DPOTrainer(model=model, args=config, train_dataset=dataset, processing_class=tokenizer)
    trainer.train()
    return [line for line in trainer.state.log_history if "loss" in line]


@pytest.mark.parametrize("tune,settings", [("lora", {}), ("full", {}), ("lora", {"loss_type": ["ipo"], "beta": 0.3}),
                                           ("full", {"loss_type": ["apo_zero"]})], ids=str)
def test_dpo_takes_the_steps_that_trl_takes(tmp_path, base, data, tune, settings):
    common = ["--model", base, "--objective", "dpo", "--tune", tune, "--lora-r", 4, "--batch-size", 8, "--logging-steps", 1,
              "--lr-scheduler-type", "constant", "--dtype", "float32", "--seed", 7]
    for name, value in settings.items():
        common += [f"--{name.replace('_', '-')}", value[0] if isinstance(value, list) else value]
    start = tmp_path / "start"
    if tune == "lora":
        merit("train", data, "--out", start, *common, "--max-steps", 1, "--learning-rate", 0)
    merit("train", data, "--out", tmp_path / "ours", *common, "--max-steps", 4, "--learning-rate", 1e-2)
    ours = [json.loads(line) for line in (tmp_path / "ours" / "metrics.jsonl").read_text().splitlines()]
    theirs = trl_steps(base, start, tmp_path / "theirs", tune == "full", **settings)
    assert len(ours) == len(theirs) == 4
    for a, b in zip(ours, theirs):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-3, abs=1e-5), (ours, theirs)
        for name in ("grad_norm", "logps/chosen", "logps/rejected"):
            assert a[name] == pytest.approx(b[name], rel=2e-3, abs=1e-4), (name, a, b)
        assert a["rewards/margins"] == pytest.approx(b["rewards/margins"], rel=1e-2, abs=1e-4), (a, b)
