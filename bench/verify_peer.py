"""merit and Math-Verify on the same answers, in one run, each in one thread (make bench-verify).

The items: the four published model answers to every GSM8K test question, and the pairs of verify_pairs.py. Each program
reads reference and response of every item and compares them; the time is the processor's for that alone, so that other
work on the machine does not count. Agreement on GSM8K is with the labels published with the answers. On the pairs the
truth is known: a verdict "unknown" counts as wrong. What bench/verify_steps.cc finds is shown too.
"""
import collections
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from verify_pairs import pairs  # noqa: E402

MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


def gsm8k():
    path = Path(os.environ.get("MERIT_SHARED_DATA", "../shared/data")) / "gsm8k_model_solutions.jsonl"
    if not path.exists():
        sys.exit(f"bench-verify: {path} is not here (MERIT_SHARED_DATA)")
    rows = []
    for line in path.open():
        row = json.loads(line)
        for model in MODELS:
            rows.append({"reference": row["ground_truth"], "response": row[model]["solution"],
                         "equal": row[model]["is_correct"], "family": "gsm8k"})
    return rows


def merit(tool, items):
    text = "\n".join(json.dumps({"reference": i["reference"], "response": i["response"]}) for i in items)
    result = subprocess.run([tool, "5"], input=text, capture_output=True, text=True, check=True)
    return [json.loads(line)["outcome"] for line in result.stdout.splitlines()], float(result.stderr)


def peer(items):
    from math_verify import parse, verify
    verdicts = []
    start = time.process_time()
    for item in items:
        verdicts.append(verify(parse(item["reference"]), parse(item["response"])))
    return verdicts, time.process_time() - start


def main():
    import logging
    logging.disable(logging.CRITICAL)  # the peer's warnings of its timeouts
    tool = Path(sys.argv[1]) / "peers" / "verify_answers"
    solutions, known = gsm8k(), pairs(3200, 8)
    totals = {"merit": 0.0, "peer": 0.0}
    result = {}
    for name, items in (("gsm8k", solutions), ("pairs", known)):
        ours, seconds = merit(tool, items)
        theirs, peer_seconds = peer(items)
        totals["merit"] += seconds
        totals["peer"] += peer_seconds
        result[name] = (ours, theirs)
        print(f"{name}: {len(items)} items, merit {1e6 * seconds / len(items):.1f} us, Math-Verify "
              f"{1e6 * peer_seconds / len(items):.0f} us an item, {peer_seconds / seconds:.0f} times")
    steps = subprocess.run([Path(sys.argv[1]) / "bench" / "verify_steps", os.environ.get("MERIT_SHARED_DATA", "../shared/data")],
                           capture_output=True, text=True, check=True)
    print("".join("steps: " + line + "\n" for line in steps.stdout.splitlines()), end="")
    ours, theirs = result["gsm8k"]
    agreement = sum((o == "correct") == i["equal"] for o, i in zip(ours, solutions)) / len(solutions)
    peer_agreement = sum(t == i["equal"] for t, i in zip(theirs, solutions)) / len(solutions)
    print(f"gsm8k: merit agrees with {agreement:.2%} of the labels, Math-Verify with {peer_agreement:.2%}")
    ours, theirs = result["pairs"]
    wanted = {True: "correct", False: "incorrect"}
    right = [o == wanted[i["equal"]] for o, i in zip(ours, known)]
    peer_right = [t == i["equal"] for t, i in zip(theirs, known)]
    by_family = collections.defaultdict(lambda: [0, 0, 0])
    for item, r, p in zip(known, right, peer_right):
        row = by_family[item["family"]]
        row[0] += 1
        row[1] += r
        row[2] += p
    for family, (n, r, p) in by_family.items():
        if r < n or p < n:
            print(f"  {family:22} {n:4} pairs, right: merit {r / n:7.1%}, Math-Verify {p / n:7.1%}")
    if os.environ.get("BENCH_VERBOSE"):
        for item, o in zip(known, ours):
            if o != wanted[item["equal"]]:
                print(" ", o, item)
    wrong_accepts = sum(o == "correct" and not i["equal"] for o, i in zip(ours, known))
    peer_accepts = sum(t and not i["equal"] for t, i in zip(theirs, known))
    print(f"pairs: {len(known)}, wrong accepts: merit {wrong_accepts}, Math-Verify {peer_accepts}")
    print(f"bench-verify: speedup={totals['peer'] / totals['merit']:.0f} agreement_gsm8k={agreement:.4f} "
          f"truth_accuracy={sum(right) / len(right):.4f} peer_accuracy={sum(peer_right) / len(peer_right):.4f} "
          f"wrong_accepts={wrong_accepts} unknown={sum(o == 'unknown' for o in ours)}")


if __name__ == "__main__":
    main()
