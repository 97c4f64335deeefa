"""What merit's Encoder feeds a model, against transformers' own tokenizer on the same folder.

Folders are made on the spot as published ones are: a tokenizer of the family's kind trained on the shared texts, its
special tokens, and the family's chat template from the installed trl. Compared: ids of conversations and of plain text,
where the completion begins (split and joint), the assistant mask, BOS exactly once, and control strings in messages.
"""

import json
import os
import random
import subprocess
from pathlib import Path

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

trl = pytest.importorskip("trl")

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MERIT_BUILD", ROOT / "build" / "release"))
TOOL = BUILD / "peers" / "encode"
DATA = Path(os.environ.get("MERIT_SHARED_DATA", ROOT.parent / "shared" / "data"))
TEMPLATES = Path(trl.__file__).parent / "chat_templates"
pytestmark = [
    pytest.mark.skipif(not TOOL.exists(), reason=f"{TOOL} is not built"),
    pytest.mark.skipif(not DATA.exists(), reason=f"shared data not found at {DATA}"),
]

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def byte_level(pattern):
    def make(texts):
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)])
        made.decoder = decoders.ByteLevel()
        made.train_from_iterator(texts, trainers.BpeTrainer(
            vocab_size=1400, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
        return made

    return make


def sentence_piece(scheme):
    """BPE with byte fallback: `legacy` sets a space before every text behind a special token, `never` none (Gemma)."""

    def make(texts):
        made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        steps = [normalizers.Prepend("\u2581")] if scheme == "legacy" else []
        made.normalizer = normalizers.Sequence(steps + [normalizers.Replace(" ", "\u2581")])
        made.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
        special = ["<unk>"] + [f"<0x{b:02X}>" for b in range(256)]
        pieces = [w for t in texts for w in t.split("\n")]
        made.train_from_iterator(pieces, trainers.BpeTrainer(
            vocab_size=1400, show_progress=False, special_tokens=special, limit_alphabet=150))
        saved = json.loads(made.to_str())
        saved["added_tokens"] = saved["added_tokens"][:1]
        return Tokenizer.from_str(json.dumps(saved))

    return make


def unigram(texts):
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    made.train_from_iterator(texts[::3], trainers.UnigramTrainer(
        vocab_size=500, show_progress=False, special_tokens=["<unk>"], unk_token="<unk>"))
    return made


# name: tokenizer, template, special tokens, BOS, EOS, what the post-processor adds ("b", "e")
FAMILIES = {
    "qwen2.5": (byte_level(QWEN2), "qwen2_5_training", "<|endoftext|> <|im_start|> <|im_end|>", None, "<|im_end|>", ""),
    "qwen3": (byte_level(QWEN2), "qwen3_training", "<|endoftext|> <|im_start|> <|im_end|>", None, "<|im_end|>", ""),
    "llama3": (byte_level(LLAMA3), "llama3_training",
               "<|begin_of_text|> <|end_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|>",
               "<|begin_of_text|>", "<|eot_id|>", "b"),
    "gemma": (sentence_piece("never"), "gemma_training", "<pad> <eos> <bos> <start_of_turn> <end_of_turn>", "<bos>", "<eos>", "b"),
    "gemma3": (sentence_piece("never"), "gemma3_training", "<pad> <eos> <bos> <start_of_turn> <end_of_turn>", "<bos>", "<eos>", "b"),
    "phi3": (sentence_piece("legacy"), "phi3_training",
             "<s> </s> <|endoftext|> <|assistant|> <|end|> <|system|> <|user|>", "<s>", "<|endoftext|>", ""),
    "deepseek": (byte_level(LLAMA3), "deepseekv3_training",
                 "<\uff5cbegin\u2581of\u2581sentence\uff5c> <\uff5cend\u2581of\u2581sentence\uff5c> <\uff5cUser\uff5c> <\uff5cAssistant\uff5c>",
                 "<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "b"),
    "cohere": (byte_level(QWEN2), "cohere_training",
               "<BOS_TOKEN> <|START_OF_TURN_TOKEN|> <|END_OF_TURN_TOKEN|> <|USER_TOKEN|> <|CHATBOT_TOKEN|> <|SYSTEM_TOKEN|>",
               "<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>", "b"),
    "lfm2": (byte_level(LLAMA3), "lfm2_training", "<|startoftext|> <|im_start|> <|im_end|>", "<|startoftext|>", "<|im_end|>", "b"),
    "glm4": (byte_level(LLAMA3), "glm4moe_training", "<|endoftext|> [gMASK] <sop> <|system|> <|user|> <|assistant|> <|observation|>",
             None, "<|endoftext|>", ""),
    "gpt2": (byte_level(QWEN2), None, "<|endoftext|>", "<|endoftext|>", "<|endoftext|>", ""),
    "llama2 text": (sentence_piece("legacy"), None, "<s> </s>", "<s>", "</s>", "b"),
    "t5 text": (unigram, None, "</s>", None, "</s>", "e"),
}


@pytest.fixture(scope="session")
def texts():
    rows = (DATA / "gsm8k_train.jsonl").read_text(encoding="utf-8").splitlines()
    return [r[k] for r in map(json.loads, rows) for k in ("question", "answer")]


class Peer:
    """A folder, transformers' tokenizer of it, and merit's encoder of it."""

    def __init__(self, folder, made, template, special, bos, eos, adds):
        made.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special.split()])
        single = ([bos] if "b" in adds else []) + ["$A"] + ([eos] if "e" in adds else [])
        if adds:
            made.post_processor = processors.TemplateProcessing(
                single=" ".join(single), pair=" ".join(single + ["$B"]),
                special_tokens=[(t, made.token_to_id(t)) for t in dict.fromkeys([bos, eos]) if t])
        made.save(str(folder / "tokenizer.json"))
        config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": bos, "eos_token": eos, "clean_up_tokenization_spaces": False}
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        self.template = template
        if template:
            (folder / "chat_template.jinja").write_text((TEMPLATES / f"{template}.jinja").read_text(encoding="utf-8"))
        self.hf = AutoTokenizer.from_pretrained(folder)
        self.bos = self.hf.bos_token_id
        self.process = subprocess.Popen([TOOL, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        self.record({})

    def ask(self, request):
        self.process.stdin.write(json.dumps(request, ensure_ascii=False) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def record(self, changes):
        self.settings = self.ask({"record": changes})
        assert "error" not in self.settings, self.settings
        self.end = self.hf.convert_tokens_to_ids(self.settings["end_of_turn"])

    def render(self, messages, prompt):
        return self.hf.apply_chat_template(messages, add_generation_prompt=prompt, tokenize=False)

    def header(self, messages):
        """What every answer's render begins with; less than the generation prompt where that opens a thinking block."""
        answers = [[{"role": "assistant", "content": text}] for text in ("a", "Z")]
        return os.path.commonprefix([self.render(messages, True)] + [self.render(messages + a, False) for a in answers])

    def ids(self, text):
        return self.hf(text, add_special_tokens=False)["input_ids"]

    def cut_at_end(self, ids):
        """Up to the last end-of-turn token; what a template prints behind it is the next turn's."""
        return ids[: len(ids) - ids[::-1].index(self.end)] if self.end in ids else ids + [self.end]


@pytest.fixture(scope="module")
def peers(texts, tmp_path_factory):
    made = {}

    def get(name):
        if name not in made:
            build, *rest = FAMILIES[name]
            made[name] = Peer(tmp_path_factory.mktemp("folder"), build(texts[::60]), *rest)
        made[name].record({})
        return made[name]

    yield get
    for peer in made.values():
        peer.process.stdin.close()
        assert peer.process.wait() == 0


CHAT = [name for name, family in FAMILIES.items() if family[1]]
TEXT = [name for name, family in FAMILIES.items() if not family[1]]
ODD = ["", " ", "\n", "  two  spaces ", "\u2014 na\u00efve \U0001f98a\U0001f98a", "\u65e5\u672c\u8a9e", "\tx = 1\n\n\n", "e\u0301 \ufb01", "\u2581marked", "12345.678"]


def conversations(texts, n):
    """Alternating turns, some with a system message, of shared and odd texts; the last turn is an answer."""
    rng = random.Random(40)
    draw = lambda: rng.choice(ODD[3:]) if rng.random() < 0.3 else rng.choice(texts)
    out = []
    for _ in range(n):
        messages = [{"role": "system", "content": draw()}] if rng.random() < 0.3 else []
        for _ in range(rng.randint(1, 3)):
            messages += [{"role": "user", "content": draw()}, {"role": "assistant", "content": draw()}]
        out.append(messages)
    return out


def refused(peer, messages):
    try:
        peer.render(messages, False)
        return False
    except Exception:  # the template's own refusal (a system role)
        return True


@pytest.mark.parametrize("name", CHAT)
def test_prompts_are_what_the_reference_feeds(peers, texts, name):
    peer = peers(name)
    seen = 0
    for messages in conversations(texts, 60):
        got = peer.ask({"prompt": messages[:-1]})
        if refused(peer, messages):
            assert "error" in got
            continue
        want = peer.hf.apply_chat_template(messages[:-1], add_generation_prompt=True, return_dict=False)
        assert got["ids"] == want, messages
        assert got["boundary"] == len(want) and not any(got["mask"])
        if peer.settings["add_bos"]:
            assert want[0] == peer.bos and want.count(peer.bos) == 1
        elif peer.bos is not None:
            assert peer.bos not in got["ids"]
        seen += 1
    assert seen >= 30


@pytest.mark.parametrize("name", CHAT)
def test_split_and_joint_boundaries(peers, texts, name):
    peer = peers(name)
    bare = {"split": [], "joint": []}
    for boundary in bare:
        peer.record({"boundary": boundary})
        for messages in conversations(texts, 40):
            if refused(peer, messages):
                continue
            prompt, whole = peer.header(messages[:-1]), peer.render(messages, False)
            assert whole.startswith(prompt)
            got = peer.ask({"prompt": messages[:-1], "completion": messages[-1:]})
            assert "error" not in got, (got, messages)
            head, joined = peer.ids(prompt), peer.cut_at_end(peer.ids(whole))
            if boundary == "joint":
                same = next((i for i, (a, b) in enumerate(zip(head, joined)) if a != b), min(len(head), len(joined)))
                assert (got["ids"], got["boundary"]) == (joined, same)
            else:
                # A text that stands alone would get a space before it in legacy files: read behind a line break.
                seam = "\n" if name == "phi3" else ""
                tail = peer.ids(seam + whole[len(prompt) :])[len(peer.ids(seam)) :]
                assert got["ids"] == head + peer.cut_at_end(tail)
                assert got["boundary"] == len(head)
            assert got["closed"] and got["ids"][-1] == peer.end
            assert got["mask"] == [i >= got["boundary"] for i in range(len(got["ids"]))]
            bare[boundary].append(got["ids"])
    assert min(map(len, bare.values())) >= 15
    # Behind the line break or token that ends a prompt, cutting there makes the same ids as a rule.
    same = sum(a == b for a, b in zip(*bare.values()))
    assert same >= 0.6 * len(bare["split"]), (same, len(bare["split"]))


@pytest.mark.parametrize("name", CHAT)
def test_the_mask_is_the_references(peers, texts, name):
    peer = peers(name)
    seen = 0
    for messages in conversations(texts, 40):
        if refused(peer, messages):
            continue
        out = peer.hf.apply_chat_template(messages, return_assistant_tokens_mask=True, return_dict=True)
        got = peer.ask({"conversation": messages})
        ids, mask = out["input_ids"], [bool(m) for m in out["assistant_masks"]]
        cut = len(peer.cut_at_end(ids))
        assert got["ids"][: len(ids)] == ids[:cut], messages
        n = min(cut, len(ids))
        assert got["mask"][:n] == mask[:n], messages
        seen += 1
    assert seen >= 20


@pytest.mark.parametrize("name", CHAT)
def test_f7_control_strings_in_messages_are_the_references_text(peers, texts, name):
    """Where the reference breaks control strings into ordinary tokens, so does merit; without the mode, both forge."""
    peer = peers(name)
    special = FAMILIES[name][2].split()
    controls = set(peer.hf.convert_tokens_to_ids(special))
    rng = random.Random(7)
    for safe in (True, False):
        peer.record({"safe_content": safe})
        for _ in range(30):
            text = "".join(rng.choice([rng.choice(special), " ", "\n", "a", rng.choice(texts)[:40]]) for _ in range(8))
            messages = [{"role": "user", "content": "x" + text + "x"}]
            got = peer.ask({"prompt": messages})["ids"]
            plain = peer.ask({"prompt": [{"role": "user", "content": "x"}]})["ids"]
            count = lambda ids: sum(i in controls for i in ids)
            if safe:
                assert count(got) == count(plain)
                spell = lambda text: text.replace(" ", "")  # some decoders set spaces around control tokens
                assert spell(peer.hf.decode(got)) == spell(peer.render(messages, True))
            else:
                assert got == peer.hf.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)


@pytest.mark.parametrize("name", TEXT)
def test_plain_text(peers, texts, name):
    """Without a template: a whole text is what tokenizer(text) gives, and ends with EOS."""
    peer = peers(name)
    eos = peer.hf.eos_token_id
    for text in [t for t in ODD if t] + texts[::150]:
        want = peer.hf(text)["input_ids"]
        if not peer.ids(text):  # nothing is left of it
            assert "error" in peer.ask({"prompt": "", "completion": text})
            continue
        got = peer.ask({"prompt": "", "completion": text})
        assert got["ids"] == want + ([] if want[-1] == eos else [eos]), text
        if peer.settings["add_bos"]:
            assert got["ids"][0] == peer.bos and got["ids"].count(peer.bos) == 1
        prompt = peer.ask({"prompt": text})
        assert prompt["ids"] == (want[:-1] if want[-1] == eos else want), text


@pytest.mark.parametrize("name", TEXT)
def test_plain_prompt_and_completion(peers, texts, name):
    """Joint: the whole text's ids, cut at the common prefix. Split: the prompt's ids first, whatever follows."""
    peer = peers(name)
    rng = random.Random(3)
    for boundary in ("joint", "split"):
        peer.record({"boundary": boundary})
        for _ in range(60):
            text = rng.choice(texts)
            at = rng.randrange(1, len(text) - 1)
            got = peer.ask({"prompt": text[:at], "completion": text[at:]})
            first = [peer.bos] if peer.settings["add_bos"] else []
            head, whole = first + peer.ids(text[:at]), first + peer.ids(text)
            if boundary == "joint":
                same = next((i for i, (a, b) in enumerate(zip(head, whole)) if a != b), min(len(head), len(whole)))
                assert got["ids"] == whole + [peer.hf.eos_token_id]
                assert got["boundary"] == same
            else:
                assert got["ids"][: got["boundary"]] == head and got["ids"][-1] == peer.hf.eos_token_id
                # The pieces spell the text again: a completion gets no space that was not there.
                body = got["ids"][len(first) : -1]
                if name != "t5 text":
                    assert peer.hf.decode(body).strip() == text.strip() and got["boundary"] < len(got["ids"]) - 1


@pytest.mark.parametrize("name", ["qwen2.5", "llama3", "gemma"])
def test_f8_f10_every_way_to_say_a_turn_is_the_same_ids(peers, texts, name):
    """Training's pair, scoring's sampled text and serving's prompt: one prompt, one end."""
    peer = peers(name)
    for question, answer in zip(texts[::400], texts[1::400]):
        turn = [{"role": "user", "content": question}]
        pair = peer.ask({"prompt": turn, "completion": [{"role": "assistant", "content": answer}]})
        sampled = peer.ask({"prompt": turn, "completion": answer})
        wrapped = peer.ask({"prompt": question, "completion": answer})
        served = peer.ask({"prompt": turn})
        assert pair["ids"] == sampled["ids"] == wrapped["ids"]
        assert served["ids"] == pair["ids"][: pair["boundary"]]
        if peer.bos is not None and peer.settings["add_bos"]:
            assert pair["ids"].count(peer.bos) == 1
