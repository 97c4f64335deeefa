"""Tokenizers that come in other files than tokenizer.json, against what the reference loads from the same folder.

SentencePiece models are trained on the spot with `sentencepiece`, the other vocabularies with `tokenizers`; transformers
loads the folder as merit does, and where a model says itself how text is read, `sentencepiece` encodes it too. GGUF files
are written with the `gguf` package.
"""

import io
import json
import random

import pytest
from gguf import GGUFWriter
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

from test_tokenizer import (BYTE_FAMILIES, TOOL, ask, compare, needs_data, needs_tool, odd_texts, shared_texts, split,  # noqa: F401
                            train, unicode_texts)

spm = pytest.importorskip("sentencepiece")
pb2 = pytest.importorskip("sentencepiece.sentencepiece_model_pb2")
pytestmark = [needs_tool, needs_data]


@pytest.fixture(scope="session")
def many(shared_texts):
    texts = shared_texts[::18] + unicode_texts()[::14] + odd_texts()[::6]
    return [t for t in texts if len(t) < 4000]


def train_pieces(texts, kind, **options):
    out = io.BytesIO()
    lines = [line for t in texts[::20] for line in t.split("\n") if line]
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=out, model_type=kind, vocab_size=options.pop("vocab_size", 900),
        character_coverage=0.999, minloglevel=2, hard_vocab_limit=False, num_threads=1, **options)
    return out.getvalue()


def proto(model):
    message = pb2.ModelProto()
    message.ParseFromString(model)
    return message


def folder_with(path, files):
    for name, content in files.items():
        data = content if isinstance(content, bytes) else (content if isinstance(content, str) else json.dumps(content)).encode()
        (path / name).write_bytes(data)
    return path


PIECES = {
    "bpe": ("bpe", {}),
    "bpe bytes": ("bpe", dict(byte_fallback=True)),
    "bpe llama": ("bpe", dict(byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True)),
    "bpe gemma": ("bpe", dict(byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=False,
                              user_defined_symbols=["<start_of_turn>", "<end_of_turn>", "\n", "\n\n", "\u2581\u2581"])),
    "unigram": ("unigram", dict(control_symbols=["<sep>"], user_defined_symbols=["<b>"])),
    "unigram bytes": ("unigram", dict(byte_fallback=True, normalization_rule_name="nfkc")),
}


@pytest.mark.parametrize("name", PIECES)
def test_sentencepiece_models_by_their_own_settings(name, many, shared_texts, tmp_path):
    """Under a class's name as transformers converts them; under none as sentencepiece, which reads no control pieces from text."""
    kind, options = PIECES[name]
    model = train_pieces(shared_texts, kind, **options)
    folder_with(tmp_path, {"tokenizer.model": model, "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"}})
    reference = AutoTokenizer.from_pretrained(tmp_path)
    compare(tmp_path, reference.backend_tokenizer, many, decode_every=5)
    (tmp_path / "tokenizer_config.json").unlink()
    same_as_sentencepiece(tmp_path, model, many + clusters(), [])


def clusters():
    """Where applying a character map to whole clusters is not applying the longest match, and spaces of every kind."""
    rng = random.Random(5)
    parts = ["\u2160\u0301", "\u1d44\u0301", "\ufb01\u0301", "a\u0301", "e\u0301\u0323", "\u0301", "\u30ab\u3099", "\uff76\uff9e", "\u1112\u1161\u11ab", "\u0dd9\u0dcf",
             "\u2460", "\u337f", "\ufdfa", "\u3000", " ", "  ", "\u00a0", "\n", "\t", "\u200b", "\u2581", "x", "ab", "1", "<b>", "\n\n", "\u00ad", "\u0130"]
    return ["".join(rng.choice(parts) for _ in range(rng.randint(1, 9))) for _ in range(3000)]


def same_as_sentencepiece(path, model, texts, extra):
    own = spm.SentencePieceProcessor(model_proto=model)
    named = [p.piece for p in proto(model).pieces if p.type in (2, 3)] + extra
    texts = [t for t in texts if not any(n in t for n in named) and "\0" not in t]
    answers = ask(path, [{"text": t} for t in texts])
    wrong = [(t, a, own.encode(t)) for t, a in zip(texts, answers) if a.get("ids") != own.encode(t)]
    assert not wrong, (len(wrong), len(texts), wrong[0])


@pytest.mark.parametrize("config", [
    {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True},
    {"tokenizer_class": "LlamaTokenizerFast", "legacy": True, "add_bos_token": True, "add_eos_token": True, "pad_token": "<pad>"},
    {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": False, "unk_token": {"content": "<unk>", "__type": "AddedToken", "lstrip": True}},
    {"tokenizer_class": "LlamaTokenizer", "additional_special_tokens": ["<|im_end|>", "<extra>"],
     "added_tokens_decoder": {"0": {"content": "<unk>", "special": True, "normalized": True, "rstrip": False, "lstrip": False, "single_word": False}}},
], ids=["first", "legacy", "never", "added"])
def test_llama_folders(config, many, shared_texts, tmp_path):
    model = train_pieces(shared_texts, "bpe", byte_fallback=True, normalization_rule_name="identity", split_digits=True)
    folder_with(tmp_path, {"tokenizer.model": model, "tokenizer_config.json": config})
    reference = AutoTokenizer.from_pretrained(tmp_path)
    texts = many[::2] + ["<s>K", "<s> K", "K<s>K", " K", "<pad>x", "a<|im_end|> b", "<extra>", "<unk> x", "  <unk>"]
    compare(tmp_path, reference.backend_tokenizer, texts, decode_every=5)


def test_added_tokens_json(many, shared_texts, tmp_path):
    model = train_pieces(shared_texts, "bpe", byte_fallback=True)
    size = len(proto(model).pieces)
    folder_with(tmp_path, {
        "tokenizer.model": model, "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer"},
        "special_tokens_map.json": {"pad_token": "<pad>", "bos_token": {"content": "<s>", "lstrip": False, "normalized": True,
                                                                        "rstrip": False, "single_word": False}},
        "added_tokens.json": {"<pad>": size, "Tok": size + 1}})
    reference = AutoTokenizer.from_pretrained(tmp_path)
    compare(tmp_path, reference.backend_tokenizer, many[::6] + ["a Tok b", "Tok<pad>Tok", "xTokx <s>y"], decode_every=5)


@pytest.mark.parametrize("charsmap", ["nmt_nfkc", "nmt_nfkc_cf", "identity"])
def test_t5_folders(charsmap, many, shared_texts, tmp_path):
    model = train_pieces(shared_texts, "unigram", normalization_rule_name=charsmap, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    folder_with(tmp_path, {"spiece.model": model, "tokenizer_config.json": {"tokenizer_class": "T5Tokenizer", "extra_ids": 20}})
    reference = AutoTokenizer.from_pretrained(tmp_path)
    compare(tmp_path, reference.backend_tokenizer, many + ["a<extra_id_0> b<extra_id_19>", "</s>x"], decode_every=5)


@pytest.mark.parametrize("config", [{}, {"do_lower_case": True, "split_by_punct": True}], ids=["cased", "lower"])
def test_deberta_folders(config, many, shared_texts, tmp_path):
    model = train_pieces(shared_texts, "unigram", pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]",
                         eos_piece="[SEP]", unk_piece="[UNK]")
    folder_with(tmp_path, {"spm.model": model, "tokenizer_config.json": {"tokenizer_class": "DebertaV2Tokenizer", **config}})
    reference = AutoTokenizer.from_pretrained(tmp_path)
    compare(tmp_path, reference.backend_tokenizer, many + ["[MASK] x[SEP]"], decode_every=5)


@pytest.mark.parametrize("config", [
    {"tokenizer_class": "GPT2Tokenizer"},
    {"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": True, "add_bos_token": True, "pad_token": "<pad>"},
    {"tokenizer_class": "Qwen2Tokenizer", "additional_special_tokens": ["<|im_start|>", "<|im_end|>"], "eos_token": "<|im_end|>"},
    {"tokenizer_class": "RobertaTokenizer"},
], ids=lambda c: c["tokenizer_class"])
def test_vocab_and_merges_folders(config, many, shared_texts, tmp_path):
    family = "qwen2" if "Qwen2" in config["tokenizer_class"] else "gpt2"
    made = json.loads(train(*BYTE_FAMILIES[family], shared_texts).to_str())["model"]
    merges = "#version: 0.2\n" + "".join(" ".join(m) + "\n" for m in made["merges"])
    config = dict(config)
    if "Roberta" in config["tokenizer_class"]:
        for token in ("<pad>", "<unk>", "<mask>"):
            made["vocab"][token] = len(made["vocab"])
    folder_with(tmp_path, {"vocab.json": made["vocab"], "merges.txt": merges, "tokenizer_config.json": config})
    reference = AutoTokenizer.from_pretrained(tmp_path)
    compare(tmp_path, reference.backend_tokenizer, many + ["<|im_end|>a", "<pad><mask> x", "x <s>"], decode_every=5)


@pytest.mark.parametrize("config", [
    {"tokenizer_class": "BertTokenizer"},
    {"tokenizer_class": "BertTokenizerFast", "do_lower_case": False, "tokenize_chinese_chars": False},
    {"tokenizer_class": "DistilBertTokenizer", "strip_accents": False},
], ids=["lower", "cased", "accents"])
def test_vocab_txt_folders(config, many, shared_texts, tmp_path):
    vocab = bert(shared_texts, config.get("do_lower_case", True)).get_vocab()
    text = "".join(t + "\n" for t, _ in sorted(vocab.items(), key=lambda item: item[1]))
    folder_with(tmp_path, {"vocab.txt": text, "tokenizer_config.json": config})
    reference = AutoTokenizer.from_pretrained(tmp_path)
    compare(tmp_path, reference.backend_tokenizer, many + ["[MASK]x[SEP] [UNK]"], decode_every=5)


def test_unknown_classes_are_named(shared_texts, tmp_path):
    import subprocess

    folder_with(tmp_path, {"tokenizer.model": train_pieces(shared_texts, "bpe"), "tokenizer_config.json": {"tokenizer_class": "MysteryTokenizer"}})
    done = subprocess.run([TOOL, tmp_path], input=b"", capture_output=True)
    assert done.returncode == 1 and b'tokenizer_class "MysteryTokenizer" is not known' in done.stderr


# GGUF


def bert(texts, lowercase=True):
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.train_from_iterator(texts[::40], trainers.WordPieceTrainer(
        vocab_size=1200, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    return made


def gguf_file(path, kind, tokens, types, **more):
    writer = GGUFWriter(path, "llama")
    writer.add_tokenizer_model(kind)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    for name, value in more.items():
        if hasattr(writer, f"add_{name}"):
            getattr(writer, f"add_{name}")(value)
        else:
            writer.add_uint32(f"tokenizer.ggml.{name}", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("name", ["bpe llama", "bpe gemma", "unigram"])
def test_gguf_of_sentencepiece_models(name, many, shared_texts, tmp_path):
    """The file's settings are the model's: ids are those of the folder with the model itself."""
    kind, options = PIECES[name]
    message = proto(train_pieces(shared_texts, kind, **options))
    spec = message.normalizer_spec
    more = {} if kind == "bpe" else {"add_eos_token": False}
    if spec.precompiled_charsmap:
        more["precompiled_charsmap"] = spec.precompiled_charsmap
    # The converter spells spaces of user-defined pieces as text does.
    tokens = [p.piece.replace("\u2581", " ") if p.type == 4 else p.piece for p in message.pieces]
    path = gguf_file(tmp_path / "m.gguf", "llama" if kind == "bpe" else "t5", tokens,
                     [p.type for p in message.pieces], token_scores=[p.score for p in message.pieces], unk_token_id=0, bos_token_id=1,
                     eos_token_id=2, add_space_prefix=spec.add_dummy_prefix, remove_extra_whitespaces=spec.remove_extra_whitespaces,
                     add_bos_token=False, **more)
    # User-defined pieces are cut out of the raw text first, as llama.cpp does: before spaces become marks.
    user = [p.piece for p in message.pieces if p.type == 4 and spec.precompiled_charsmap] + ["\u2581"]
    same_as_sentencepiece(path, message.SerializeToString(), many + clusters(), user)
    assert ask(path, [{"text": "a<s>b</s>"}])[0]["ids"].count(1) == 1


def test_gguf_bert(many, shared_texts, tmp_path):
    for lowercase in (True, False):
        made = bert(shared_texts, lowercase)
        made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        vocab = [t for t, _ in sorted(made.get_vocab().items(), key=lambda item: item[1])]
        turned = lambda t: t if t.startswith("[") and t.endswith("]") else t[2:] if t.startswith("##") else "\u2581" + t
        path = gguf_file(tmp_path / f"{lowercase}.gguf", "bert", [turned(t) for t in vocab], [3 if i < 5 else 1 for i in range(len(vocab))],
                         unk_token_id=1, sep_token_id=3, pad_token_id=0, cls_token_id=2, mask_token_id=4)
        compare(path, made, many, decode_every=5)


GPT_NAMES = {"gpt-2": "gpt2", "llama-bpe": "llama3", "qwen2": "qwen2", "gpt-4o": "gpt4o", "deepseek-v3": "deepseek-v3",
             "deepseek-coder": "deepseek-coder", "dbrx": "llama3", "roberta-bpe": "gpt2"}


@pytest.mark.parametrize("pre", [*GPT_NAMES, "falcon", "tekken", "mpt", "bloom"])
def test_gguf_gpt2_kinds(pre, many, shared_texts, tmp_path):
    tekken = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
              r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
              r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    published = {
        "falcon": (None, pre_tokenizers.Sequence([pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(False),
                                                  pre_tokenizers.Digits(False), split("[0-9][0-9][0-9]")])),
        "tekken": (None, pre_tokenizers.Sequence([split(tekken), pre_tokenizers.ByteLevel(False, use_regex=False)])),
        "mpt": (normalizers.NFC(), pre_tokenizers.ByteLevel(False)),
        "bloom": (None, pre_tokenizers.Sequence([split(" ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"),
                                                 pre_tokenizers.ByteLevel(False, use_regex=False)])),
    }
    family = published[pre] if pre in published else BYTE_FAMILIES[GPT_NAMES[pre]]
    made = train(*family, shared_texts)
    saved = json.loads(made.to_str())
    saved["model"]["ignore_merges"] = pre in ("llama-bpe", "tekken")
    made = Tokenizer.from_str(json.dumps(saved))
    vocab = [t for t, _ in sorted(made.get_vocab().items(), key=lambda item: item[1])]
    path = gguf_file(tmp_path / "m.gguf", "gpt2", vocab, [3 if i < 3 else 1 for i in range(len(vocab))], tokenizer_pre=pre,
                     token_merges=[" ".join(m) for m in saved["model"]["merges"]], bos_token_id=1, eos_token_id=2, add_bos_token=False)
    compare(path, made, many[::2], decode_every=9)
