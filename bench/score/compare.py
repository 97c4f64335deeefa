"""Judges two builds of merit on scoring, with a noise floor.

    .venv/bin/python bench/score/compare.py BUILD_A BUILD_B MODEL HEAD_FOLDER [RUNS]

Runs A, B and A again in turn on the committed subset of LLMBar, checks that the scores agree, and prints the ratio of
medians B/A beside that of A to itself: a difference inside the floor is none. MODEL and HEAD_FOLDER as in merit score.
"""
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import sets


def one(build, model, head, data, out):
    """(scores, seconds of scoring)"""
    done = subprocess.run([build / "merit", "score", data, "--model", model, "--reward", f"head:{head}", "--out", out,
                           "--overwrite", "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    scores = [s for line in out.read_text().splitlines() for s in json.loads(line)["scores"]["head"]]
    return scores, json.loads(done.stdout)["seconds"]["score"]


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    builds = {"A": Path(sys.argv[1]), "B": Path(sys.argv[2]), "A again": Path(sys.argv[1])}
    runs = int(sys.argv[5]) if len(sys.argv) > 5 else 7
    rows = sets.load("llmbar")
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "rows.jsonl"
        data.write_text("".join(json.dumps(rows[i]) + "\n" for i in sets.subset()["llmbar"][:16]))
        seconds = {side: [] for side in builds}
        first = None
        for _ in range(runs):
            for side, build in builds.items():
                scores, took = one(build, sys.argv[3], sys.argv[4], data, Path(name) / "scored.jsonl")
                first = first or scores
                worst = max(abs(a - b) / max(1, abs(a)) for a, b in zip(first, scores, strict=True))
                if worst > 1e-5:
                    sys.exit(f"the scores of {side} differ by {worst:.3g}: not the same work")
                seconds[side].append(took)
    median = {side: statistics.median(values) for side, values in seconds.items()}
    for side, values in seconds.items():
        print(f"{side:8} {median[side]:.3f} s [{min(values):.3f}, {max(values):.3f}] of {runs} runs")
    floor = max(abs(median["A again"] / median["A"] - 1), *(statistics.pstdev(v) / median[s] / runs ** 0.5
                                                             for s, v in seconds.items()))
    ratio = 2 * median["B"] / (median["A"] + median["A again"])
    verdict = "no difference" if abs(ratio - 1) <= 2 * floor else "B is faster" if ratio < 1 else "B is slower"
    print(f"compare: B/A={ratio:.3f} noise={2 * floor:.3f} verdict={verdict}")


if __name__ == "__main__":
    main()
