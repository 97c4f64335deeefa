"""merit's statistics against NumPy and SciPy on seeded random input."""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / os.environ.get("MERIT_BUILD", "build/release") / "peers" / "stats_tool"


def ask(questions):
    if not TOOL.exists():
        pytest.skip(f"{TOOL} is not built")
    text = "\n".join(json.dumps(q) for q in questions) + "\n"
    done = subprocess.run([TOOL], input=text, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(questions)
    return answers


@pytest.fixture(scope="module")
def stats():
    return pytest.importorskip("scipy.stats")


def test_wilson_is_scipys(stats):
    cases = [(k, n) for n in (1, 7, 50, 1000) for k in {0, 1, n // 3, n}]
    answers = ask([{"what": "wilson", "right": k, "n": n} for k, n in cases])
    for (k, n), got in zip(cases, answers):
        want = stats.binomtest(k, n).proportion_ci(0.95, "wilson")
        assert got["low"] == pytest.approx(want.low, abs=1e-9)
        assert got["high"] == pytest.approx(want.high, abs=1e-9)


def test_student_interval_is_scipys(stats):
    rng = np.random.default_rng(1)
    samples = [rng.normal(size=n) for n in (2, 3, 10, 200)]
    for x, got in zip(samples, ask([{"what": "mean", "x": list(x)} for x in samples])):
        low, high = stats.t.interval(0.95, len(x) - 1, x.mean(), stats.sem(x))
        assert (got["low"], got["high"]) == pytest.approx((low, high), rel=1e-9)


@pytest.mark.parametrize("name", ["pearson", "spearman", "kendall"])
def test_correlations_are_scipys_with_ties(stats, name):
    rng = np.random.default_rng(2)
    cases = []
    for n in (5, 20, 300):
        for levels in (3, 10, 10**6):
            x = rng.integers(0, levels, n).astype(float)
            cases.append((x, np.round(x * 0.3 + rng.integers(0, levels, n))))
    cases = [(x, y) for x, y in cases if x.std() > 0 and y.std() > 0]
    peer = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}[name]
    answers = ask([{"what": name, "x": list(x), "y": list(y)} for x, y in cases])
    for (x, y), got in zip(cases, answers):
        assert got["value"] == pytest.approx(peer(x, y).statistic, abs=1e-10)
    if name == "pearson":
        for (x, y), got in zip(cases, answers):
            want = peer(x, y).confidence_interval(0.95)
            assert (got["low"], got["high"]) == pytest.approx((want.low, want.high), abs=1e-9)


def test_auc_is_mann_whitney(stats):
    rng = np.random.default_rng(3)
    cases = [(rng.integers(0, 6, n).astype(float), rng.integers(0, 2, n).astype(bool)) for n in (10, 50, 400)]
    answers = ask([{"what": "auc", "x": list(x), "right": r.tolist()} for x, r in cases])
    for (x, r), got in zip(cases, answers):
        want = stats.mannwhitneyu(x[r], x[~r]).statistic / (r.sum() * (~r).sum())
        assert got["value"] == pytest.approx(want, abs=1e-12)


def test_binomial_is_scipys(stats):
    cases = [(k, n, p) for n in (1, 9, 40, 2000) for k in {0, n // 4, n // 2, n} for p in (0.03, 0.25, 0.5, 0.9)]
    answers = ask([{"what": "binomial", "k": k, "n": n, "p": p} for k, n, p in cases])
    for (k, n, p), got in zip(cases, answers):
        assert got["p"] == pytest.approx(stats.binomtest(k, n, p).pvalue, rel=1e-8, abs=1e-300)
        assert got["greater"] == pytest.approx(stats.binomtest(k, n, p, "greater").pvalue, rel=1e-8, abs=1e-300)


def test_sign_flips_are_scipys_permutation_test(stats):
    rng = np.random.default_rng(4)
    samples = [np.round(rng.normal(0.3, 1, n), 2) for n in (3, 7, 12)]
    for x, got in zip(samples, ask([{"what": "sign_flip", "x": list(x)} for x in samples])):
        want = stats.permutation_test((x,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=False)
        assert got["method"] == "exact sign flips"
        assert got["p"] == pytest.approx(want.pvalue, abs=1e-12)


def test_best_of_n_null_is_the_convolution():
    rng = np.random.default_rng(5)
    cases = [(rng.integers(0, 9, n) / 8, n) for n in (3, 30, 500)]
    questions, wanted = [], []
    for shares, n in cases:
        mass = np.array([1.0])
        for p in shares:
            mass = np.convolve(mass, [1 - p, p])
        right = int(np.argmax(mass) + 1)
        if right > (shares > 0).sum():
            right -= 1
        questions.append({"what": "choice", "x": list(shares), "right": right})
        wanted.append((mass[right:].sum(), mass[mass <= mass[right] * (1 + 1e-7)].sum()))
    for got, (greater, both) in zip(ask(questions), wanted):
        assert got["greater"] == pytest.approx(greater, abs=1e-11)
        assert got["p"] == pytest.approx(both, abs=1e-11)


def test_bca_interval_is_near_scipys(stats):
    rng = np.random.default_rng(6)
    samples = [rng.exponential(size=80), rng.normal(size=200)]
    questions = [{"what": "bootstrap_mean", "x": list(x), "low": float(x.min()), "high": float(x.max())} for x in samples]
    for x, got in zip(samples, ask(questions)):
        want = stats.bootstrap((x,), np.mean, n_resamples=20000, method="BCa", random_state=0).confidence_interval
        width = want.high - want.low
        assert got["method"] == "bca bootstrap"
        assert got["low"] == pytest.approx(want.low, abs=0.03 * width)
        assert got["high"] == pytest.approx(want.high, abs=0.03 * width)


def test_calibration_by_numpy():
    rng = np.random.default_rng(7)
    p = rng.random(500)
    right = rng.random(500) < p**2
    got = ask([{"what": "calibration", "x": list(p), "right": right.tolist(), "bins": 15}])[0]
    bins = np.minimum((p * 15).astype(int), 14)
    ece = sum(abs((right[bins == b] - p[bins == b]).sum()) for b in range(15)) / 500
    assert got["ece"] == pytest.approx(ece, abs=1e-12)
    assert got["brier"] == pytest.approx(((p - right) ** 2).mean(), abs=1e-12)


def test_best_of_k_by_sampling():
    rng = np.random.default_rng(8)
    scores, values = rng.integers(0, 5, 12).astype(float), rng.integers(0, 2, 12).astype(float)
    got = ask([{"what": "best_of_k", "x": list(scores), "y": list(values)}])[0]
    for k in (1, 3, 8, 12):
        draws = []
        for _ in range(4000):
            some = rng.permutation(12)[:k]
            top = some[scores[some] == scores[some].max()]
            draws.append(values[top].mean())
        assert got[k - 1] == pytest.approx(np.mean(draws), abs=0.03)
