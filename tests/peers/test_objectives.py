"""Objectives against TRL's own loss code, in float64: value and gradient with respect to log-probs per token (or rewards).

TRL's trainers are made without their constructors and given only what their loss methods read. DPO, KTO and SFT run on a
tiny random llama through those methods, and merit is told the log-probs per token that TRL saw. CPO and ORPO turn logits
into log-probs themselves, so they get logits whose log-softmax at the labels is a leaf tensor."""

import collections
import json
import os
import pathlib
import subprocess
import types
import unittest.mock

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from trl import DPOTrainer, KTOTrainer, RewardTrainer, SFTTrainer
from trl.experimental.cpo import CPOTrainer
from trl.experimental.gkd import GKDTrainer
from trl.experimental.orpo import ORPOTrainer

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / os.environ.get("MERIT_BUILD", "build/release") / "peers" / "objective"
VOCAB = 13
TOLERANCE = 1e-6

# Prompt and completion lengths of three pairs: chosen 0 .. 2, rejected 3 .. 5.
LENGTHS = [(2, 3), (3, 1), (2, 5), (2, 2), (3, 4), (2, 1)]
PAIRS = {"chosen": [0, 1, 2], "rejected": [3, 4, 5]}


def ask(*questions):
    done = subprocess.run(
        [TOOL], input="".join(json.dumps(q) + "\n" for q in questions), capture_output=True, text=True, timeout=100,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(questions), done.stderr
    for answer in answers:
        assert "error" not in answer, answer
    return answers


def close(got, want, tolerance=TOLERANCE, floor=1e-9):
    """Relative to the largest of `want`, or to `floor`."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape
    assert np.max(np.abs(got - want), initial=0) <= tolerance * max(floor, np.max(np.abs(want), initial=0)), (got, want)


def agree(answer, loss, gradients, metrics=None, **tolerance):
    close(answer["loss"], loss.item(), **tolerance)
    for name, gradient in gradients.items():
        assert np.max(np.abs(gradient)) > 1e-7, name  # something is compared
        close(answer["gradients"][name], gradient, **tolerance)
    for name, values in (metrics or {}).items():
        if name in answer["metrics"]:
            close(answer["metrics"][name], values[-1], **tolerance)


def begins(lengths):
    return [0, *np.cumsum(lengths).tolist()]


def sequences(seed, lengths=LENGTHS):
    """Padded ids, attention mask and completion mask."""
    generator = torch.Generator().manual_seed(seed)
    width = max(p + c for p, c in lengths)
    ids = torch.randint(1, VOCAB, (len(lengths), width), generator=generator)
    attention, completion = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, (p, c) in enumerate(lengths):
        attention[row, : p + c] = 1
        completion[row, p : p + c] = 1
        ids[row, p + c :] = 0
    return ids, attention, completion


class Tiny(torch.nn.Module):
    """A tiny llama in float64 that answers as TRL's fused head does, and remembers the log-probs per token."""

    is_gradient_checkpointing = False

    def __init__(self, seed, spread=0.5):
        super().__init__()
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=VOCAB, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=1, max_position_embeddings=32, initializer_range=spread, pad_token_id=0,
            attn_implementation="eager",
        )
        self.model = LlamaForCausalLM(config).double()

    def forward(self, input_ids=None, attention_mask=None, labels=None, fused_lm_head=False, use_cache=False):
        logits = self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits[:, :-1]
        target, valid = labels[:, 1:].clamp(min=0), labels[:, 1:] != -100
        every = torch.log_softmax(logits, -1)
        log_probs = every.gather(-1, target.unsqueeze(-1)).squeeze(-1) * valid
        if log_probs.requires_grad:
            log_probs.retain_grad()
        self.log_probs, self.valid = log_probs, valid
        self.log_sum_sq = every.exp().square().sum(-1).log()
        return types.SimpleNamespace(
            log_probs=log_probs, label_mask=valid, log_sum_sq_probs=self.log_sum_sq.detach() * valid,
            entropy=-(every.exp() * every).sum(-1).detach() * valid, mean_logits=logits.mean(-1).detach() * valid,
            is_top1=(logits.argmax(-1) == target) & valid,
        )

    def seen(self, of=None):
        return (self.log_probs if of is None else of)[self.valid].detach().tolist()

    def gradient(self):
        return self.log_probs.grad[self.valid].tolist()


class Alone:
    """The accelerator of one process."""

    device = torch.device("cpu")
    parallelism_config = None
    num_processes = 1

    def gather(self, value):
        return value

    gather_for_metrics = gather


def trainer(kind, model, **attributes):
    made = kind.__new__(kind)
    made.__dict__.update(
        model=model, accelerator=Alone(), aux_loss_enabled=False, precompute_ref_logps=False, _tp_size=1,
        _total_train_tokens=0, _metrics={mode: collections.defaultdict(list) for mode in ("train", "eval")},
        args=types.SimpleNamespace(gradient_checkpointing_kwargs=None, discopop_tau=0.05), is_encoder_decoder=False,
    )
    made.args.__dict__.update(attributes.pop("args", {}))
    made.__dict__.update(attributes)
    return made


DPO_DEFAULTS = {
    "loss_type": ["sigmoid"], "loss_weights": None, "beta": 0.1, "label_smoothing": 0.0, "ld_alpha": None,
    "f_divergence_type": "reverse_kl", "f_alpha_divergence_coef": 0.5, "use_weighting": False, "discopop_tau": 0.05,
}
SMOOTH = {"exo_pair", "robust", "aot", "aot_unpaired"}
TYPES = ["sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired",
         "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm"]
TAKES_DIVERGENCE = {"sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop", "sft"}


def dpo_cases():
    for kind in TYPES:
        smoothing = {"label_smoothing": 0.1} if kind in SMOOTH else {}
        yield {"loss_type": [kind], "beta": 0.3, **smoothing}
        yield {"loss_type": [kind], "ld_alpha": 0.4, **smoothing}
        if kind in TAKES_DIVERGENCE:
            for divergence in ("forward_kl", "js_divergence"):
                yield {"loss_type": [kind], "f_divergence_type": divergence, **smoothing}
        # TRL multiplies hinge's ReLU in place, which automatic differentiation refuses.
        if kind not in ("aot", "aot_unpaired", "sft", "hinge"):
            yield {"loss_type": [kind], "use_weighting": True, **smoothing}
    yield {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 1.0}
    yield {"loss_type": ["sigmoid", "bco_pair", "sft"], "loss_weights": [0.8, 0.2, 1.0]}
    yield {"loss_type": ["aot", "apo_down"], "label_smoothing": 0.2, "ld_alpha": 0.5}
    yield {"loss_type": ["discopop"], "discopop_tau": 0.7}


def dpo_of_trl(options, seed, dtype=torch.float64, lengths=LENGTHS):
    """TRL's loss and the question that asks merit the same."""
    settings = {**DPO_DEFAULTS, **options}
    policy, reference = Tiny(seed).to(dtype), Tiny(seed + 1000).to(dtype)
    kind = trainer(
        DPOTrainer, policy, ref_model=reference, loss_types=settings["loss_type"],
        loss_weights=settings["loss_weights"] or [1.0] * len(settings["loss_type"]),
        args={"discopop_tau": settings["discopop_tau"]},
        **{k: settings[k] for k in ("beta", "label_smoothing", "ld_alpha", "f_divergence_type", "use_weighting",
                                    "f_alpha_divergence_coef")},
    )
    ids, attention, completion = sequences(seed, lengths)
    loss = kind._compute_loss(
        policy, {"input_ids": ids, "attention_mask": attention, "completion_mask": completion}, return_outputs=False
    )
    loss.backward()
    rows = list(range(len(lengths)))
    batch = {
        "token_begin": begins([c for _, c in lengths]), "logps": policy.seen(), "ref_logps": reference.seen(),
        "sumsq": np.exp(policy.seen(policy.log_sum_sq)).tolist(), "chosen": rows[: len(rows) // 2],
        "rejected": rows[len(rows) // 2 :],
    }
    return kind, policy, loss, {"objective": "dpo", "options": options, "batch": batch}


def test_dpo_of_every_loss_divergence_and_length_rule():
    runs = [dpo_of_trl(options, seed) for seed, options in enumerate(dpo_cases())]
    for (kind, policy, loss, question), answer in zip(runs, ask(*[run[3] for run in runs])):
        try:
            agree(answer, loss, {"logps": policy.gradient()}, kind._metrics["train"])
        except AssertionError as error:
            raise AssertionError(question["options"]) from error
        if question["options"].get("loss_type") != ["sft"]:
            assert {"rewards/chosen", "rewards/margins", "logps/rejected"} <= answer["metrics"].keys() & kind._metrics["train"].keys()


def test_dpo_alpha_divergence():
    # TRL computes it in float32 and has no cap for float64, so both see a float32 model.
    for alpha in (0.5, 2.0, -0.3):
        options = {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": alpha}
        kind, policy, loss, question = dpo_of_trl(options, 7, torch.float32)
        agree(ask(question)[0], loss, {"logps": policy.gradient()}, kind._metrics["train"], tolerance=2e-6, floor=1)


def test_dpo_weighted_sft_of_one_pair():
    # Of one pair merit's weight per pair and TRL's mean weight of the batch are the same.
    _, policy, loss, question = dpo_of_trl({"loss_type": ["sft"], "use_weighting": True}, 3, lengths=[(2, 3), (3, 2)])
    agree(ask(question)[0], loss, {"logps": policy.gradient()})


KTO_LABELS = [True, False, True, True, False, False]


@pytest.mark.parametrize("loss_type", ["kto", "apo_zero_unpaired"])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_kto(loss_type, seed):
    policy, reference = Tiny(seed), Tiny(seed + 1000)
    options = {"loss_type": loss_type, "beta": 0.3, "desirable_weight": 1.5, "undesirable_weight": 0.7}
    kind = trainer(KTOTrainer, policy, ref_model=reference, calculate_KL=loss_type == "kto", **options)
    ids, attention, completion = sequences(seed)
    # Completions rotated by one against their prompts.
    other = [(LENGTHS[i][0], LENGTHS[i - 1][1]) for i in range(len(LENGTHS))]
    kl_ids, kl_attention, kl_completion = sequences(seed + 50, other)
    inputs = {
        "input_ids": ids, "attention_mask": attention, "completion_mask": completion, "label": torch.tensor(KTO_LABELS),
        "KL_input_ids": kl_ids, "KL_attention_mask": kl_attention, "KL_completion_mask": kl_completion,
    }
    loss = kind._compute_loss(policy, inputs, return_outputs=False)
    loss.backward()
    lengths, logps, ref_logps = [c for _, c in LENGTHS], policy.seen(), reference.seen()
    gradient = policy.gradient()
    batch = {"token_begin": begins(lengths), "label": [float(one) for one in KTO_LABELS]}
    if loss_type == "kto":
        labels = kl_ids.masked_fill(kl_completion == 0, -100)
        with torch.no_grad():
            for model, seen in ((policy, logps), (reference, ref_logps)):
                model(input_ids=kl_ids, attention_mask=kl_attention, labels=labels)
                seen.extend(model.seen())
        batch["token_begin"] = begins(lengths + [c for _, c in other])
        batch["label"] += [0.0] * len(other)
        batch["mismatched"] = list(range(len(LENGTHS), 2 * len(LENGTHS)))
        gradient = gradient + [0.0] * sum(c for _, c in other)
    batch.update(logps=logps, ref_logps=ref_logps)
    answer = ask({"objective": "kto", "options": options, "batch": batch})[0]
    metrics = dict(kind._metrics["train"])
    if loss_type != "kto":
        metrics.pop("kl")
    assert {"rewards/chosen", "rewards/rejected", "rewards/margins", "logps/chosen"} <= answer["metrics"].keys() & metrics.keys()
    agree(answer, loss, {"logps": gradient}, metrics)


@pytest.mark.parametrize("loss_type", ["nll", "dft"])
def test_sft(loss_type):
    policy = Tiny(5)
    kind = trainer(SFTTrainer, policy, compute_loss_func=None, label_smoother=None,
                   args={"loss_type": loss_type, "average_tokens_across_devices": False})
    ids, attention, completion = sequences(5)
    inputs = {"input_ids": ids, "attention_mask": attention, "labels": ids.masked_fill(completion == 0, -100)}
    loss = kind.compute_loss(policy, inputs)
    loss.backward()
    batch = {"token_begin": begins([c for _, c in LENGTHS]), "logps": policy.seen()}
    answer = ask({"objective": "sft", "options": {"loss_type": loss_type}, "batch": batch})[0]
    agree(answer, loss, {"logps": policy.gradient()})


@pytest.mark.parametrize("margin", [None, [0.3, 0.0, 1.5]])
@pytest.mark.parametrize("centring", [None, 0.01])
def test_bradley_terry(margin, centring):
    rewards = torch.randn(6, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    model = torch.nn.Module()
    model.forward = lambda **_: types.SimpleNamespace(logits=rewards)
    kind = trainer(RewardTrainer, model, args={"center_rewards_coefficient": centring})
    inputs = {"attention_mask": torch.ones(6, 3)}
    batch = {"value_begin": begins([1] * 6), "values": rewards.tolist(), **PAIRS}
    if margin:
        inputs["margin"] = torch.tensor(margin, dtype=torch.float64)
        batch["margin"] = margin
    loss = kind.compute_loss(model, inputs)
    loss.backward()
    answer = ask({"objective": "bradley_terry", "options": {"center_rewards_coefficient": centring}, "batch": batch})[0]
    metrics = kind._metrics["train"]
    assert {"min_reward", "mean_reward", "max_reward", "accuracy", "margin"} <= answer["metrics"].keys() & metrics.keys()
    agree(answer, loss, {"values": rewards.grad.flatten().tolist()}, metrics)


class OfLogps(torch.nn.Module):
    """Logits whose log-softmax at each next token is a leaf: that token's log-prob, the rest spread over the others."""

    def __init__(self, ids, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        shape = (ids.shape[0], ids.shape[1] - 1)
        self.ids = ids
        self.leaf = (-0.1 - 3 * torch.rand(shape, dtype=torch.float64, generator=generator)).requires_grad_()

    def forward(self, input_ids, attention_mask=None, use_cache=False):
        assert torch.equal(input_ids, self.ids)
        rest = torch.log1p(-self.leaf.exp()) - np.log(VOCAB - 1)
        at_target = torch.nn.functional.one_hot(self.ids[:, 1:], VOCAB).bool()
        logits = torch.where(at_target, self.leaf.unsqueeze(-1), rest.unsqueeze(-1))
        return types.SimpleNamespace(logits=torch.cat([logits, torch.zeros_like(logits[:, :1])], 1))


def reference_free(kind, name, options, seed, attributes):
    ids, attention, completion = sequences(seed)
    labels = ids.masked_fill(completion == 0, -100)
    model = OfLogps(ids, seed)
    inputs = {}
    for side, rows in (("chosen", slice(0, 3)), ("rejected", slice(3, 6))):
        inputs.update({f"{side}_input_ids": ids[rows], f"{side}_attention_mask": attention[rows],
                       f"{side}_labels": labels[rows]})
    made = trainer(kind, model, padding_value=0, pad_token_id=0, **attributes)
    # TRL casts to float32 in one place; in float64 the cast would hide what is compared.
    with unittest.mock.patch.object(torch.Tensor, "float", torch.Tensor.double):
        loss, metrics = made.get_batch_loss_metrics(model, inputs, train_eval="train")
    loss.backward()
    answered = completion[:, 1:].bool()
    prompted = attention[:, 1:].bool() & ~answered
    batch = {
        "token_begin": begins([c for _, c in LENGTHS]), "logps": model.leaf[answered].tolist(),
        "prompt_begin": begins([p - 1 for p, _ in LENGTHS]), "prompt_logps": model.leaf[prompted].tolist(), **PAIRS,
    }
    gradients = {"logps": model.leaf.grad[answered].tolist()}
    if name == "orpo":
        gradients["prompt_logps"] = model.leaf.grad[prompted].tolist()
    answer = ask({"objective": name, "options": options, "batch": batch})[0]
    names = {"rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins", "logps/chosen"}
    assert names <= answer["metrics"].keys() & metrics.keys()
    agree(answer, loss, gradients, {key: [value] for key, value in metrics.items()})


@pytest.mark.parametrize("loss_type", ["sigmoid", "hinge", "ipo", "simpo"])
@pytest.mark.parametrize("alpha", [0.0, 0.25])
@pytest.mark.parametrize("cpo_alpha", [1.0, 0.0])
def test_cpo(loss_type, alpha, cpo_alpha):
    options = {"loss_type": loss_type, "beta": 0.7, "alpha": alpha, "cpo_alpha": cpo_alpha, "simpo_gamma": 0.4,
               "label_smoothing": 0.1 if loss_type in ("sigmoid", "simpo") else 0.0}
    reference_free(CPOTrainer, "cpo", options, 11, options)


def test_simpo_is_cpo_with_simpo_and_no_nll():
    options = {"beta": 2.0, "simpo_gamma": 0.5, "label_smoothing": 0.0, "alpha": 0.0}
    reference_free(CPOTrainer, "simpo", options, 12, {**options, "loss_type": "simpo", "cpo_alpha": 0.0})


def test_orpo():
    reference_free(ORPOTrainer, "orpo", {"beta": 0.3}, 13, {"beta": 0.3})


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.5, 1.0])
def test_gkd(beta):
    student, teacher = Tiny(21), Tiny(22)
    ids, attention, completion = sequences(21)
    labels = ids.masked_fill(completion == 0, -100)[:, 1:]
    with torch.no_grad():
        mine = student.model(input_ids=ids, attention_mask=attention).logits[:, :-1]
        other = teacher.model(input_ids=ids, attention_mask=attention).logits[:, :-1]
    mine.requires_grad_()
    loss = GKDTrainer.generalized_jsd_loss(mine, other, labels=labels, beta=beta)
    gradient, = torch.autograd.grad(loss, mine)
    per_token = GKDTrainer.generalized_jsd_loss(mine, other, labels=labels, beta=beta, reduction="none").sum(-1)
    batch = {"token_begin": begins([c for _, c in LENGTHS]), "divergence": per_token.tolist()}
    answer = ask({"objective": "gkd", "options": {"beta": beta}, "batch": batch})[0]
    close(answer["loss"], loss.item())
    chained, = torch.autograd.grad(per_token, mine, torch.tensor(answer["gradients"]["divergence"], dtype=torch.float64))
    close(chained, gradient)
