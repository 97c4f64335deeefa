"""merit train with adapters and whole models: what learns, what a stop costs, what is refused."""
import json
import math
import os
import random
import shutil
import signal
import subprocess
import time

import pytest
from conftest import MERIT, rows, run, write_rows

ADAPTER = ["adapter_model.safetensors", "adapter_config.json", "metrics.jsonl"]


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    """Groups whose first answer is right, the second half right and the third wrong."""
    items = [{"id": f"g{i}", "prompt": f"Say {i}", "responses": [f"{i} is it", f"{i} no", f"none {'x' * (i % 5)}"],
              "labels": [1, 0.75, 0]} for i in range(12)]
    return write_rows(tmp_path_factory.mktemp("ranked") / "rows.jsonl", items)


def train(data, tiny, out, objective, *more):
    return run("train", data, "--model", tiny, "--out", out, "--objective", objective, "--tune", "lora", "--lora-r", 4,
               "--logging-steps", 1, "--json", *more)


def metrics(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


OBJECTIVES = ["sft", "bradley_terry", "plackett_luce", "dpo", "cpo", "simpo", "orpo", "kto", "bco"]


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("tune", ["lora", "full"])
def test_every_objective_lowers_its_loss(tmp_path, tiny, ranked, objective, tune):
    result = run("train", ranked, "--model", tiny, "--out", tmp_path / "out", "--objective", objective, "--tune", tune,
                 "--batch-size", 12, "--max-steps", 12, "--learning-rate", 3e-3, "--lr-scheduler-type", "constant",
                 "--logging-steps", 1)
    assert result.returncode == 0, result.stderr
    losses = [line["loss"] for line in metrics(tmp_path / "out")]
    assert len(losses) == 12 and losses[-1] < losses[0] - 1e-3, losses


def test_f38_at_the_first_step_policy_and_reference_are_one(tmp_path, tiny, ranked):
    assert train(ranked, tiny, tmp_path / "dpo", "dpo", "--batch-size", 5).returncode == 0
    first = metrics(tmp_path / "dpo")[0]
    assert first["loss"] == math.log(2) and first["rewards/margins"] == 0 and first["rewards/chosen"] == 0, first
    assert train(ranked, tiny, tmp_path / "kto", "kto", "--batch-size", 5).returncode == 0
    first = metrics(tmp_path / "kto")[0]
    assert first["loss"] == 0.5 and first["kl"] == 0, first


@pytest.mark.parametrize("objective", ["bradley_terry", "dpo", "kto", "orpo"])
def test_how_a_step_is_split_changes_nothing_but_rounding(tmp_path, tiny, ranked, objective):
    lines = {}
    for budget in (16, 1 << 20):
        out = tmp_path / str(budget)
        result = train(ranked, tiny, out, objective, "--dtype", "float64", "--batch-size", 6, "--max-steps", 4,
                       "--learning-rate", 1e-3, "--token-budget", budget)
        assert result.returncode == 0, result.stderr
        lines[budget] = metrics(out)
    for small, large in zip(*lines.values(), strict=True):
        for name in ("loss", "grad_norm"):
            assert math.isclose(small[name], large[name], rel_tol=1e-6), (name, small, large)


def test_a_process_head_learns_which_steps_are_right(tmp_path, tiny):
    items = [{"id": f"s{i}", "prompt": f"Count from {i}", "completions": [f"{i}", f"{i + 1}" if i % 2 else "zzz", "end"],
              "labels": [True, bool(i % 2), bool(i % 2)]} for i in range(8)]
    data = write_rows(tmp_path / "steps.jsonl", items)
    result = train(data, tiny, tmp_path / "out", "step_labels", "--batch-size", 8, "--max-steps", 40, "--learning-rate", 1e-2)
    assert result.returncode == 0, result.stderr
    lines = metrics(tmp_path / "out")
    assert lines[0]["accuracy"] < 1 and lines[-1]["accuracy"] == 1 and lines[-1]["loss"] < 0.2, lines[-1]


def test_attributes_are_regressed_and_missing_ones_weigh_nothing(tmp_path, tiny):
    items = [{"id": f"a{i}", "prompt": f"Say {i}", "completion": f"{i} " * (1 + i % 3), "helpfulness": i % 3,
              "verbosity": None if i % 2 else 1.5} for i in range(8)]
    data = write_rows(tmp_path / "rows.jsonl", items)
    args = ["--batch-size", 8, "--max-steps", 60, "--learning-rate", 1e-2]
    result = train(data, tiny, tmp_path / "out", "attribute_regression", *args, "--attributes", "helpfulness", "verbosity")
    assert result.returncode == 0, result.stderr
    lines = metrics(tmp_path / "out")
    # Before anything is learned the values are near 0: the mean square is that of the labels that are there.
    labels = [i % 3 for i in range(8)] + [1.5] * 4
    assert math.isclose(lines[0]["loss"], sum(x * x for x in labels) / len(labels), rel_tol=0.2), lines[0]
    assert lines[-1]["loss"] < 0.05, lines[-1]
    missing = train(data, tiny, tmp_path / "no", "attribute_regression")
    assert missing.returncode == 2 and "--attributes" in missing.stderr
    wrong = train(data, tiny, tmp_path / "no", "attribute_regression", "--attributes", "completion", "id")
    assert wrong.returncode == 1 and "no number in the columns of --attributes: 8" in wrong.stderr, wrong.stderr


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("objective", ["dpo", "bco"])
def test_a_stopped_run_continues_to_the_same_bytes(tmp_path, tiny, ranked, objective, stop):
    args = ["train", ranked, "--model", tiny, "--objective", objective, "--tune", "lora", "--lora-r", 4,
            "--batch-size", 2, "--num-train-epochs", 12, "--save-steps", 5, "--logging-steps", 3, "--learning-rate", 1e-3]
    began = time.monotonic()
    assert run(*args, "--out", tmp_path / "whole").returncode == 0
    took = time.monotonic() - began
    generator = random.Random(5)
    stops = 0
    for _ in range(60):
        process = subprocess.Popen([str(a) for a in [MERIT, *args, "--out", tmp_path / "part"]],
                                   env=dict(os.environ, OMP_WAIT_POLICY="PASSIVE"), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        time.sleep(took * (0.2 + 0.7 * generator.random()))
        process.send_signal(stop)
        if process.wait(timeout=60) == 0:
            shutil.rmtree(tmp_path / "part")  # it was done before the signal came: once more
            stops = 0
            continue
        stops += 1
        if stops == 2:
            break
    assert stops == 2
    assert run(*args, "--out", tmp_path / "part").returncode == 0
    for name in ADAPTER:
        assert (tmp_path / "part" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_run_that_stopped_early_is_done_and_ends_with_its_best(tmp_path, tiny, ranked):
    out = tmp_path / "out"
    # A rate at which the loss on the held-out groups gets worse.
    args = ["--eval", ranked, "--eval-steps", 1, "--early-stopping-patience", 2, "--batch-size", 12, "--max-steps", 30,
            "--learning-rate", 3, "--lr-scheduler-type", "constant", "--load-best-model-at-end"]
    assert train(ranked, tiny, out, "simpo", *args).returncode == 0
    losses = [line["eval_loss"] for line in metrics(out) if "eval_loss" in line]
    best = losses.index(min(losses))
    assert len(losses) == best + 3 < 30, losses
    before = {name: (out / name).read_bytes() for name in ADAPTER}
    assert train(ranked, tiny, out, "simpo", *args).returncode == 0
    assert before == {name: (out / name).read_bytes() for name in ADAPTER}
    # What was written is the best: evaluated without a step, it has that loss.
    merged = tmp_path / "merged"
    assert run("model", "convert", out, "--out", merged).returncode == 0
    again = run("train", ranked, "--model", merged, "--out", tmp_path / "check", "--objective", "simpo", "--tune", "lora",
                "--eval", ranked, "--max-steps", 1, "--learning-rate", 0)
    assert again.returncode == 0, again.stderr
    assert math.isclose(metrics(tmp_path / "check")[-1]["eval_loss"], losses[best], rel_tol=1e-4)


def test_a_line_holds_the_mean_over_its_steps(tmp_path, tiny, ranked):
    args = ["--batch-size", 4, "--max-steps", 6, "--learning-rate", 1e-3]
    for every in (1, 3):
        result = run("train", ranked, "--model", tiny, "--out", tmp_path / str(every), "--objective", "dpo", "--logging-steps",
                     every, *args)
        assert result.returncode == 0, result.stderr
    single, grouped = metrics(tmp_path / "1"), metrics(tmp_path / "3")
    assert [line["step"] for line in grouped] == [1, 3, 6]
    for line, steps in zip(grouped, (single[:1], single[1:3], single[3:])):
        assert math.isclose(line["loss"], sum(s["loss"] for s in steps) / len(steps), rel_tol=1e-12)
        assert line["num_tokens"] == steps[-1]["num_tokens"]


def test_a_merged_adapter_scores_as_the_adapter(tmp_path, tiny, ranked):
    out, merged = tmp_path / "out", tmp_path / "merged"
    assert train(ranked, tiny, out, "bradley_terry", "--batch-size", 12, "--max-steps", 5, "--learning-rate", 1e-2).returncode == 0
    assert run("model", "convert", out, "--out", merged).returncode == 0
    for name, model in (("adapter", out), ("merged", merged)):
        result = run("score", ranked, "--model", model, "--reward", f"head:{model}", "--out", tmp_path / f"{name}.jsonl")
        assert result.returncode == 0, result.stderr
    for a, b in zip(rows(tmp_path / "adapter.jsonl"), rows(tmp_path / "merged.jsonl"), strict=True):
        assert a["scores"]["head"] == pytest.approx(b["scores"]["head"], rel=1e-5)
    on_top = train(ranked, out, tmp_path / "no", "dpo")
    assert on_top.returncode == 1 and "merit model convert" in on_top.stderr


def test_an_adapter_folder_is_a_model_with_its_head(tmp_path, tiny, ranked):
    out = tmp_path / "out"
    assert train(ranked, tiny, out, "bradley_terry", "--batch-size", 12, "--max-steps", 40, "--learning-rate", 5e-3).returncode == 0
    score = run("score", ranked, "--model", out, "--reward", f"head:{out}", "--out", tmp_path / "scored.jsonl")
    assert score.returncode == 0, score.stderr
    scores = [row["scores"]["head"] for row in rows(tmp_path / "scored.jsonl")]
    assert all(right > wrong for right, _, wrong in scores), scores
    # On the model it was not trained with, the head is refused.
    other = run("score", ranked, "--model", tiny, "--reward", f"head:{out}", "--out", tmp_path / "no.jsonl")
    assert other.returncode == 1 and "was fitted" in other.stderr, other.stderr


@pytest.mark.parametrize("tune", ["lora", "full"])
def test_what_is_written_gives_the_log_probs_of_the_last_evaluation(tmp_path, tiny, ranked, tune):
    out = tmp_path / "out"
    pairs = write_rows(tmp_path / "pairs.jsonl", [{"id": f"p{i}", "prompt": f"Say {i}", "chosen": f"{i} is it",
                                                   "rejected": f"no {i}"} for i in range(6)])
    result = run("train", pairs, "--model", tiny, "--out", out, "--objective", "dpo", "--tune", tune, "--eval", pairs,
                 "--batch-size", 6, "--max-steps", 5, "--learning-rate", 3e-3)
    assert result.returncode == 0, result.stderr
    assert run("score", pairs, "--model", out, "--reward", "likelihood:sum", "--out", tmp_path / "s.jsonl").returncode == 0
    scored = [row["scores"]["likelihood"] for row in rows(tmp_path / "s.jsonl")]
    evaluation = metrics(out)[-1]
    assert math.isclose(sum(s[0] for s in scored) / 6, evaluation["eval_logps/chosen"], rel_tol=1e-4)
    assert math.isclose(sum(s[1] for s in scored) / 6, evaluation["eval_logps/rejected"], rel_tol=1e-4)


def test_refusals_say_what_differs(tmp_path, tiny, ranked):
    out = tmp_path / "out"
    steps = ["--batch-size", 6, "--num-train-epochs", 2]
    assert train(ranked, tiny, out, "dpo", *steps).returncode == 0
    before = {name: (out / name).read_bytes() for name in ADAPTER}
    assert train(ranked, tiny, out, "dpo", *steps).returncode == 0  # nothing is left to do
    assert before == {name: (out / name).read_bytes() for name in ADAPTER}
    other = train(ranked, tiny, out, "dpo", *steps, "--beta", 0.2)
    assert other.returncode == 2 and "beta is new" in other.stderr, other.stderr
    shutil.rmtree(out / "checkpoints")
    gone = train(ranked, tiny, out, "dpo", *steps)
    assert gone.returncode == 2 and "holds a result already" in gone.stderr, gone.stderr
    for args, code, words in [
            (["dpo", "--tune", "head"], 2, "--tune head fits bradley_terry alone"),
            (["dpo", "--beta", -1], 2, "dpo.beta"),
            (["dpo", "--simpo-gamma", 1], 2, "simpo_gamma"),
            (["dop"], 2, "did you mean dpo?"),
            (["tdpo"], 1, "divergence"),
            (["dpo", "--lora-target-modules", "c_attn"], 2, "it has down_proj"),
            (["dpo", "--learning-rate", 1e30, "--lr-scheduler-type", "constant"], 1, "not finite")]:
        result = run("train", ranked, "--model", tiny, "--out", tmp_path / "bad", "--objective", *args)
        assert result.returncode == code and words in result.stderr, (args, result.stderr)


def test_a_changed_data_file_is_refused_on_resume(tmp_path, tiny, ranked):
    data, out = tmp_path / "data.jsonl", tmp_path / "out"
    data.write_bytes(ranked.read_bytes())
    assert train(data, tiny, out, "dpo").returncode == 0
    data.write_bytes(ranked.read_bytes().replace(b"is it", b"is so", 1))
    result = train(data, tiny, out, "dpo")
    assert result.returncode == 2 and "data.jsonl was" in result.stderr, result.stderr


def test_f37_a_pair_that_is_cut_to_the_same_tokens_is_left_out_and_counted(tmp_path, tiny):
    long = "x" * 200
    data = write_rows(tmp_path / "pairs.jsonl", [{"id": "cut", "prompt": "p", "chosen": long + "a", "rejected": long + "b"},
                                                 {"id": "short", "prompt": "p", "chosen": "a", "rejected": "b"}])
    result = train(data, tiny, tmp_path / "out", "dpo", "--max-length", 64)
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)["result"]
    assert told["examples"] == 1 and told["truncated"] == 2, told
    assert told["left_out"]["a pair whose answers are the same tokens, or are cut to the same"] == 1


def test_f39_order_weights_and_log_after_a_resume_are_those_of_a_whole_run(tmp_path, tiny, ranked):
    data, out = write_rows(tmp_path / "ten.jsonl", rows(ranked)[:10]), tmp_path / "out"
    args = ["--batch-size", 1, "--num-train-epochs", 3, "--save-steps", 13, "--save-total-limit", 9, "--learning-rate", 1e-3]
    assert train(data, tiny, out, "dpo", *args).returncode == 0
    whole = {name: (out / name).read_bytes() for name in ADAPTER}
    # As a run that was stopped after step 13 left it, with lines in the log that came later.
    for later in sorted((out / "checkpoints").iterdir())[1:]:
        shutil.rmtree(later)
    (out / "adapter_model.safetensors").unlink()
    assert [c.name for c in (out / "checkpoints").iterdir()] == ["step-00000013"]
    assert train(data, tiny, out, "dpo", *args).returncode == 0
    assert whole == {name: (out / name).read_bytes() for name in ADAPTER}


def test_a_dry_run_counts_steps_and_tokens_and_writes_nothing(tmp_path, tiny, ranked):
    args = ["--model", tiny, "--objective", "dpo", "--batch-size", 5, "--num-train-epochs", 2, "--json"]
    plan = json.loads(run("train", ranked, *args, "--dry-run").stdout)["estimate"]
    assert plan["steps"] == 6  # twelve groups, three steps an epoch
    done = json.loads(run("train", ranked, *args, "--out", tmp_path / "out").stdout)
    assert done["result"]["steps"] == 6
    # Two epochs; the estimate counts a short last batch as a whole one.
    assert done["tokens"] <= plan["tokens_asked"] <= done["tokens"] * 15 / 12 + 1
    bad = run("train", ranked, *args, "--out", "/proc/nothing")
    assert bad.returncode == 1 and "cannot make the folder /proc/nothing" in bad.stderr
    info = run("model", "info", tmp_path / "out")
    assert info.returncode == 0 and "an adapter on" in info.stdout, info.stderr


def test_the_table_of_objectives(tmp_path):
    listed = json.loads(run("train", "--objective", "list", "--json").stdout)["objectives"]
    assert {"sft", "bradley_terry", "dpo", "kto", "simpo"} <= {row["name"] for row in listed}
    about = json.loads(run("train", "dpo", "--objective", "explain", "--json").stdout)
    start = about["points"][0]
    # At the start sigmoid(0) = 1/2 of beta = 0.1 goes to each side.
    assert math.isclose(start["loss"], math.log(2)) and math.isclose(start["to_chosen"], -0.05)
    assert math.isclose(start["to_rejected"], 0.05)
