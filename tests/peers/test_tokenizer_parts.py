"""Every normalizer, pre-tokenizer, post-processor and decoder of tokenizer.json by itself, against `tokenizers`.

The model under test spells words in bytes, and marks every character but a word's first: its ids are the normalized text
and the cuts, and nothing is hidden by a vocabulary.
"""

import io
import random

import pytest
import tokenizers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from test_tokenizer import ask, needs_data, needs_tool, odd_texts, shared_texts, split, unicode_texts  # noqa: F401

spm = pytest.importorskip("sentencepiece")
pb2 = pytest.importorskip("sentencepiece.sentencepiece_model_pb2")
pytestmark = [needs_tool, needs_data]

BYTES = {f"<0x{b:02X}>": b for b in range(256)}


def spelling(normalizer=None, pre_tokenizer=None):
    made = Tokenizer(models.BPE(vocab=BYTES, merges=[], byte_fallback=True, continuing_subword_prefix="##"))
    if normalizer is not None:
        made.normalizer = normalizer
    if pre_tokenizer is not None:
        made.pre_tokenizer = pre_tokenizer
    return made


@pytest.fixture(scope="session")
def texts(shared_texts):
    clusters = ["e\u0301a\u0308", "\u1112\u1161\u11ab", "\ufb01\ufb03", "\u2460\u00bd", "\uff21\uff42\u3000x", "\u0958\u093c", "\U0001f1e9\U0001f1ea\u200d",
                "\u0130I\u0131", "\u1e9e\u00df", "a\u0323\u0302", "\u200b\u200e\ufeff", "\u00ad\u2028\u0085", "\u0344\u0374", "\u01c4\u01c5", "\ufdfa"]
    rng = random.Random(1)
    mixed = ["".join(rng.choice(clusters + [" ", "  ", "A", "b", "1", "\n", ".", "'s", "\u4e2d"]) for _ in range(8)) for _ in range(600)]
    return clusters + mixed[::2] + [t[:300] for t in shared_texts[::400]] + unicode_texts()[::40] + odd_texts()[::24]


@pytest.fixture(scope="session")
def many_texts(shared_texts):
    """Tens of thousands: every third shared text, every code point."""
    found = [t[:150] for t in shared_texts[::3]] + unicode_texts() + odd_texts()
    assert len(found) > 20_000
    return found


def same_ids(made, texts, folder, special=True):
    made.save(str(folder / "tokenizer.json"))
    want = [e.ids for e in made.encode_batch(texts, add_special_tokens=special)]
    got = ask(folder, [{"text": t, "special": special} for t in texts])
    wrong = [(t, g, w) for t, g, w in zip(texts, got, want) if g.get("ids") != w]
    assert not wrong, f"{len(wrong)} of {len(texts)} differ, first: {wrong[0]}"


def charsmap(name):
    out = io.BytesIO()
    spm.SentencePieceTrainer.train(sentence_iterator=iter(["a b c d"]), model_writer=out, vocab_size=9, model_type="char",
                                   normalization_rule_name=name, minloglevel=2)
    message = pb2.ModelProto()
    message.ParseFromString(out.getvalue())
    return message.normalizer_spec.precompiled_charsmap


NORMALIZERS = {
    "NFC": normalizers.NFC, "NFD": normalizers.NFD, "NFKC": normalizers.NFKC, "NFKD": normalizers.NFKD,
    "Lowercase": normalizers.Lowercase, "Nmt": normalizers.Nmt, "StripAccents": normalizers.StripAccents,
    "ByteLevel": normalizers.ByteLevel, "Strip": normalizers.Strip,
    "Strip left": lambda: normalizers.Strip(left=True, right=False), "Strip right": lambda: normalizers.Strip(left=False, right=True),
    "Prepend": lambda: normalizers.Prepend("\u2581x"), "Replace text": lambda: normalizers.Replace("a", "\u00e9\u00e9"),
    "Replace pattern": lambda: normalizers.Replace(Regex(r"\s+|[aeiou](?=n)"), "_"), "Replace ends": lambda: normalizers.Replace(Regex(r"\A +| +\z"), ""),
    **{f"Bert {flags:04b}": (lambda flags=flags: normalizers.BertNormalizer(clean_text=bool(flags & 1), handle_chinese_chars=bool(flags & 2),
                                                                              strip_accents=bool(flags & 4), lowercase=bool(flags & 8)))
       for flags in range(16)},
    "Bert default accents": lambda: normalizers.BertNormalizer(strip_accents=None, lowercase=True),
    **{f"Precompiled {name}": (lambda name=name: normalizers.Precompiled(charsmap(name))) for name in ("nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf")},
    "Sequence": lambda: normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Prepend("<"), normalizers.Lowercase(),
                                              normalizers.Replace(" ", ""), normalizers.NFC()]),
}


@pytest.mark.parametrize("name", NORMALIZERS)
def test_normalizers(name, texts, tmp_path):
    same_ids(spelling(NORMALIZERS[name]()), texts, tmp_path)


PRE_TOKENIZERS = {
    "ByteLevel": lambda: pre_tokenizers.ByteLevel(False), "ByteLevel prefix": lambda: pre_tokenizers.ByteLevel(True),
    "ByteLevel whole": lambda: pre_tokenizers.ByteLevel(True, use_regex=False), "Whitespace": pre_tokenizers.Whitespace,
    "WhitespaceSplit": pre_tokenizers.WhitespaceSplit, "BertPreTokenizer": pre_tokenizers.BertPreTokenizer,
    "Digits": lambda: pre_tokenizers.Digits(False), "Digits single": lambda: pre_tokenizers.Digits(True),
    "CharDelimiterSplit": lambda: pre_tokenizers.CharDelimiterSplit("e"), "Punctuation": pre_tokenizers.Punctuation,
    **{f"FixedLength {n}": (lambda n=n: pre_tokenizers.FixedLength(n)) for n in (1, 2, 5)},
    **{f"Metaspace {scheme} {cut}": (lambda scheme=scheme, cut=cut: pre_tokenizers.Metaspace("\u2581", scheme, cut))
       for scheme in ("always", "first", "never") for cut in (True, False)},
    "Metaspace other": lambda: pre_tokenizers.Metaspace("_", "always"),
    "UnicodeScripts": pre_tokenizers.UnicodeScripts,
    "Sequence": lambda: pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace("\u2581", "always", True),
                                                 pre_tokenizers.Punctuation("merged_with_next"), split(r"\d{2}", "removed")]),
}


@pytest.mark.parametrize("name", PRE_TOKENIZERS)
def test_pre_tokenizers(name, texts, tmp_path):
    same_ids(spelling(pre_tokenizer=PRE_TOKENIZERS[name]()), texts, tmp_path)


# Read differently by Oniguruma, in whose syntax these files write them, and PCRE2, on which merit runs.
PATTERNS = [
    r"\b", r"\B", r"\b\w+\b", r"\b(?:can|won)\b|\bi\B", r"\w+", r"\W+", r"[\w']+", r"[\W\d]", r"[^\W\d]+", r"[\b ]",
    " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+",  # BLOOM's
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+|[\p{Han}]+",  # Kimi's
    r"[^\p{L}&&[^\s]]+", r"[a-e[^a-z]]", r"[^a-e[x]]", r"[^a[^\p{L}]]", r"[-a-c[x-z-]&&b-dx-]+", r"[\p{Han}\u3001]+|\P{Han}{3}|\p{^Latin}", r"[]a]|[a^-]", r"^\w|\w$", r"\p{^L}+", r"\P{L}|\p{Lu}{2,}?",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns(pattern, texts, many_texts, tmp_path):
    chosen = many_texts if pattern in PATTERNS[:1] + PATTERNS[4:5] else texts
    same_ids(spelling(pre_tokenizer=split(pattern, "isolated")), chosen, tmp_path)


@pytest.mark.parametrize("name", ["scripts", "words"])
def test_cuts_of_many_texts(name, many_texts, tmp_path):
    cut = {"scripts": pre_tokenizers.UnicodeScripts(), "words": split(r"\b", "merged_with_next")}[name]
    same_ids(spelling(pre_tokenizer=cut), many_texts, tmp_path)


def template(single, *tokens):
    return processors.TemplateProcessing(single=single, pair="$A $B", special_tokens=list(tokens))


PROCESSORS = {
    "ByteLevel": lambda: processors.ByteLevel(trim_offsets=True), "Bert": lambda: processors.BertProcessing(("s", 1), ("c", 2)),
    "Roberta": lambda: processors.RobertaProcessing(("s", 1), ("c", 2)), "Template": lambda: template("[X] $A [Y] [X]", ("[X]", 7), ("[Y]", 8)),
    "Template bare": lambda: template("$0"),
    "Sequence": lambda: processors.Sequence([processors.ByteLevel(), template("[X] $A [Y]", ("[X]", 7), ("[Y]", 8))]),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_post_processors(name, texts, tmp_path):
    made = spelling(pre_tokenizer=pre_tokenizers.WhitespaceSplit())
    made.post_processor = PROCESSORS[name]()
    same_ids(made, texts[::10] + [""], tmp_path)
    same_ids(made, texts[::10] + [""], tmp_path, special=False)


# Not both sides at once: the reference crashes on a piece that is shorter than the two together.
DECODERS = {
    "ByteLevel": decoders.ByteLevel, "Fuse": decoders.Fuse, "ByteFallback": decoders.ByteFallback,
    "Metaspace": decoders.Metaspace, "Metaspace never": lambda: decoders.Metaspace("\u2581", "never"), "Metaspace other": lambda: decoders.Metaspace("_", "first"),
    "WordPiece": decoders.WordPiece, "WordPiece plain": lambda: decoders.WordPiece("@@", cleanup=False),
    "BPEDecoder": decoders.BPEDecoder, "BPEDecoder other": lambda: decoders.BPEDecoder("@"),
    "CTC": decoders.CTC, "CTC plain": lambda: decoders.CTC("<pad>", "|", cleanup=False), "Replace": lambda: decoders.Replace("a", "bb"),
    "Replace pattern": lambda: decoders.Replace(Regex("[ab]+"), "-"), "Strip": lambda: decoders.Strip(" ", 1, 0), "Strip two": lambda: decoders.Strip("a", 2, 0), "Strip right": lambda: decoders.Strip("b", 0, 1),
    "Sequence": lambda: decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]),
    "Sequence of strips": lambda: decoders.Sequence([decoders.ByteFallback(), decoders.Strip(" ", 0, 1), decoders.Metaspace()]),
}
PIECES = ["a", "b", " a", " ", "  ", "a</w>", "</w>", "##b", "##", "@@c", "b@", "\u2581c", "\u2581", "\u2581\u2581a", "_x", "<0xE4>", "<0xB8>", "<0xAD>", "<0x61>",
          "<0xFF>", "<0xZZ>", "<pad>", "|", "a|b", "n't", " n't", ".", " .", " ?", "'m", " do not", " 's", "\u0120the", "\u00e9", "\u0100", "\u4e2d", "aab ba"]


@pytest.mark.parametrize("name", DECODERS)
def test_decoders(name, tmp_path):
    made = Tokenizer(models.WordLevel({p: i for i, p in enumerate(PIECES)}, unk_token="a"))
    made.decoder = DECODERS[name]()
    made.save(str(tmp_path / "tokenizer.json"))
    rng = random.Random(3)
    lists = [[rng.randrange(len(PIECES)) for _ in range(rng.randint(0, 9))] for _ in range(700)] + [[i] for i in range(len(PIECES))]
    lists += [[i, i, j] for i in range(len(PIECES)) for j in (0, 21, 12)]
    want = made.decode_batch(lists)
    got = [a.get("text") for a in ask(tmp_path, [{"decode": ids} for ids in lists])]
    wrong = [([PIECES[i] for i in ids], g, w) for ids, g, w in zip(lists, got, want) if g != w]
    assert not wrong, f"{len(wrong)} of {len(lists)} differ, first: {wrong[0]}"


def test_every_type_of_the_reference_is_here():
    """A new release's types show up as a failure of this list."""
    listed = {
        normalizers: {"BertNormalizer", "ByteLevel", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "Prepend", "Replace", "Sequence",
                      "Strip", "StripAccents"},
        pre_tokenizers: {"BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Digits", "FixedLength", "Metaspace", "Punctuation", "Sequence", "Split",
                         "UnicodeScripts", "Whitespace", "WhitespaceSplit"},
        processors: {"BertProcessing", "ByteLevel", "RobertaProcessing", "Sequence", "TemplateProcessing"},
        decoders: {"BPEDecoder", "ByteFallback", "ByteLevel", "CTC", "Fuse", "Metaspace", "Replace", "Sequence", "Strip", "WordPiece"},
        models: {"BPE", "Unigram", "WordLevel", "WordPiece"},
    }
    bases = {"Normalizer", "PreTokenizer", "PostProcessor", "Decoder", "Model", "DecodeStream"}
    for module, known in listed.items():
        found = {n for n, v in vars(module).items() if isinstance(v, type) and v.__module__.startswith("tokenizers")} - bases
        assert found == known, (tokenizers.__version__, found ^ known)
