"""Chooses the default subset: whole batches of eight neighbouring rows a set, about as many padded tokens in each, with
ratios of padded to unique tokens, with and without duplicates, within 3% of the whole set's. Writes subset.json.

    .venv-peers/bin/python bench/score/choose_subset.py MODEL_FOLDER
"""
import json
import random
import sys
from pathlib import Path

from transformers import AutoTokenizer

import sets

PADDED = 26_000  # tokens a set
WITHIN = 0.03


def ratios(ids, lengths, rows):
    """Padded over unique tokens, of all rows and of those without duplicates."""
    fresh = sets.without_duplicates(rows)
    return [sets.padded_tokens(lengths, part) / sets.unique_tokens(ids, part) for part in (rows, fresh)]


def choose(name, tokenizer, generator):
    rows = sets.load(name)
    texts = {(row["prompt"], response): None for row in rows for response in row["responses"]}
    for key in texts:
        text = tokenizer.apply_chat_template([{"role": "user", "content": key[0]}, {"role": "assistant", "content": key[1]}],
                                             tokenize=False)
        texts[key] = tokenizer(text, add_special_tokens=False)["input_ids"]
    lengths = {key: len(ids) for key, ids in texts.items()}
    whole = ratios(texts, lengths, rows)
    chunks = [rows[i:i + sets.BATCH] for i in range(0, len(rows) - sets.BATCH + 1, sets.BATCH)]
    best = None
    for _ in range(20_000):
        order = generator.sample(range(len(chunks)), len(chunks))
        picked, padded = [], 0
        for chunk in order:
            padded += sets.padded_tokens(lengths, chunks[chunk])
            if padded > PADDED * 1.15:
                break
            picked.append(chunk)
            if padded > PADDED:
                break
        part = [row for chunk in sorted(picked) for row in chunks[chunk]]
        got = ratios(texts, lengths, part)
        off = max(abs(g / w - 1) for g, w in zip(got, whole))
        if best is None or off < best[0]:
            best = (off, picked, got)
            if off < WITHIN / 2:
                break
    off, picked, got = best
    print(f"{name}: {len(picked) * sets.BATCH} of {len(rows)} rows; padded/unique {got[0]:.3f} (whole {whole[0]:.3f}), "
          f"without duplicates {got[1]:.3f} (whole {whole[1]:.3f}); off by {off:.1%} at most")
    if off > WITHIN:
        sys.exit(f"{name}: no subset within {WITHIN:.0%} found")
    return [int(row["id"].split("-")[1]) for chunk in sorted(picked) for row in chunks[chunk]]


def main():
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    generator = random.Random(0)
    rows = {name: choose(name, tokenizer, generator) for name in sets.NAMES}
    text = ",\n".join(f'  "{name}": {json.dumps(indices)}' for name, indices in rows.items())
    (Path(__file__).parent / "subset.json").write_text('{"rows": {\n' + text + "\n}}\n")


if __name__ == "__main__":
    main()
