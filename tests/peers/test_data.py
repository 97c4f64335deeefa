"""Groups against TRL's own data functions: the same rows, the same prompts, answers and labels."""

import json
import os
import pathlib
import random
import subprocess

import pytest

trl = pytest.importorskip("trl.data_utils")

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / os.environ.get("MERIT_BUILD", "build/release") / "peers" / "read_groups"


@pytest.fixture
def read(tmp_path):
    def run(rows):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        done = subprocess.run([TOOL, path], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def message(role, content):
    return {"role": role, "content": content}


ALPHABET = ["a", "b", " ", "  ", "é", "è", "ē", "🦊", "🦉", "\n", "\u0301", "the", " sky"]


def random_texts(seed, count):
    """Pairs of texts with a shared start; among them equal ones, prefixes and ones that part at once."""
    rng = random.Random(seed)
    for _ in range(count):
        start = "".join(rng.choices(ALPHABET, k=rng.randrange(6)))
        yield tuple(start + "".join(rng.choices(ALPHABET, k=rng.randrange(4))) for _ in range(2))


def peer_is_sound(chosen, rejected):
    """TRL's rule is followed except where its index is off: one text starts with the other, or they part at once."""
    shared = next((i for i, (a, b) in enumerate(zip(chosen, rejected)) if a != b), None)
    return shared is not None and shared > 0


def test_implicit_prompt_of_texts(read):
    pairs = [p for p in random_texts(1, 3000) if peer_is_sound(*p)]
    assert len(pairs) > 1000
    groups = read([{"chosen": c, "rejected": r} for c, r in pairs])
    for (chosen, rejected), group in zip(pairs, groups, strict=True):
        expected = trl.extract_prompt({"chosen": chosen, "rejected": rejected})
        assert group["prompt"] == expected["prompt"]
        assert group["contents"] == [expected["chosen"], expected["rejected"]]


def test_implicit_prompt_of_texts_where_the_peer_is_off(read):
    """Whatever the peer does there, nothing is lost: prompt + answer is the text, or the row is refused."""
    pairs = [p for p in random_texts(2, 2000) if not peer_is_sound(*p)]
    assert len(pairs) > 200
    refused = 0
    for (chosen, rejected), group in zip(pairs, read([{"chosen": c, "rejected": r} for c, r in pairs]), strict=True):
        if "error" in group:
            assert chosen.startswith(rejected) or rejected.startswith(chosen)
            refused += 1
        else:
            assert [group["prompt"] + answer for answer in group["contents"]] == [chosen, rejected]
            assert group["prompt"] == ""
    assert refused > 50


def test_implicit_prompt_of_conversations(read):
    rng = random.Random(3)
    rows = []
    for _ in range(500):
        turns = [message(rng.choice(["user", "assistant"]), rng.choice("abc")) for _ in range(rng.randrange(1, 5))]
        answers = rng.sample([[message("assistant", text)] for text in "xyz"], 2)
        rows.append({"chosen": turns + answers[0], "rejected": turns + answers[1]})
    for row, group in zip(rows, read(rows), strict=True):
        expected = trl.extract_prompt(row)
        assert trl.is_conversational(row) and isinstance(group["prompt"], list)
        assert group["prompt"] == expected["prompt"]
        assert group["contents"] == [expected["chosen"], expected["rejected"]]


def test_explicit_prompt_beside_conversations(read):
    """A plain prompt beside whole conversations is implicit; prompts of the answers' kind are kept (both peers' rule)."""
    talk = [message("user", "q")]
    rows = {
        "implicit": {"prompt": "q", "chosen": talk + [message("assistant", "a")], "rejected": talk + [message("assistant", "b")]},
        "kept": {"prompt": talk, "chosen": [message("assistant", "a")], "rejected": [message("assistant", "b")]},
        "plain": {"prompt": "same ", "chosen": "same a", "rejected": "same b"},
    }
    for row in rows.values():
        (group,) = read([row])
        expected = trl.maybe_extract_prompt(row)
        assert group["prompt"] == expected["prompt"]
        assert group["contents"] == [expected["chosen"], expected["rejected"]]


@pytest.mark.parametrize("row", [
    {"prompt": "p"},
    {"prompt": [message("user", "p")]},
    {"prompt": "p", "completion": "c"},
    {"prompt": [message("user", "p")], "completion": [message("assistant", "c")]},
    {"prompt": "p", "completion": "c", "label": True},
    {"prompt": "p", "chosen": "c", "rejected": "r"},
    {"chosen": "pc", "rejected": "pr"},
    {"prompt": [message("user", "p")], "chosen": [message("assistant", "c")], "rejected": [message("assistant", "r")]},
])
def test_conversational_or_plain(read, row):
    (group,) = read([row])
    assert isinstance(group["prompt"], list) == trl.is_conversational(row)


def test_unpaired_preferences_hold_what_the_pairs_hold(read):
    datasets = pytest.importorskip("datasets")
    pairs = [{"prompt": f"p{i}", "chosen": f"c{i}", "rejected": f"r{i}", "source": f"s{i}"} for i in range(5)]
    unpaired = trl.unpair_preference_dataset(datasets.Dataset.from_list(pairs))

    def flat(groups):
        return sorted(
            (g["prompt"], content, label, g["columns"]["source"])
            for g in groups
            for content, label in zip(g["contents"], g["labels"], strict=True)
        )

    assert flat(read(pairs)) == flat(read(list(unpaired)))
