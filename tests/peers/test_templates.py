"""Chat templates rendered by merit and by transformers' own Jinja environment, byte for byte.

Every template that the installed trl ships, on many conversations; the assistant mask; and small templates drawn from
a grammar. Where the reference raises, merit must too, with the template's own message where there is one.
"""

import glob
import json
import os
import random
import subprocess

import pytest

jinja2 = pytest.importorskip("jinja2")
utils = pytest.importorskip("transformers.utils.chat_template_utils")
trl = pytest.importorskip("trl")

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("MERIT_BUILD", "build/release"))
TOOL = os.path.join(BUILD, "peers", "render")
TEMPLATES = sorted(glob.glob(os.path.join(os.path.dirname(trl.__file__), "**", "*.jinja"), recursive=True))
DATE = "2024-07-26"

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a place, \"now\" or later.\nSecond line <b>&amp;</b>",
            "parameters": {
                "type": "object",
                "properties": {
                    "place": {"type": "string", "description": "Where; e.g. Köln"},
                    "unit": {"type": "string", "enum": ["celsius", "kelvin"], "default": "celsius"},
                    "days": {"type": "array", "items": {"type": "integer"}, "description": "Which days"},
                    "deep": {
                        "type": "object",
                        "properties": {"a": {"type": ["number", "null"]}, "b": {"type": "boolean"}},
                        "required": ["a"],
                    },
                },
                "required": ["place"],
            },
            "return": {"type": "string", "description": "A sentence"},
        },
    },
    {"type": "function", "function": {"name": "now", "description": "The time.", "parameters": {"type": "object", "properties": {}}}},
]


def call(name, arguments, identity=None):
    out = {"type": "function", "function": {"name": name, "arguments": arguments}}
    if identity:
        out["id"] = identity
    return out


def conversations():
    user = lambda text: {"role": "user", "content": text}
    says = lambda text, **more: {"role": "assistant", "content": text, **more}
    system = {"role": "system", "content": "  You are terse.\n"}
    out = {
        "one": dict(messages=[user("Hi")]),
        "system": dict(messages=[system, user("Hi")]),
        "answered": dict(messages=[user("2+2?"), says("4")]),
        "system answered": dict(messages=[system, user("2+2?"), says("4 \n")]),
        "turns": dict(messages=[user("a"), says("b"), user("c"), says("d"), user(" e ")]),
        "unicode": dict(messages=[user("Größe ½ — 🦊\u200d\u00a0日本語\u2028x"), says("naïve ﬁ İ ß\u3000")]),
        "empty": dict(messages=[user(""), says("")]),
        "space": dict(messages=[user(" \n\t "), says("\n\n  x\n\n"), user("y\n")]),
        "special": dict(messages=[user("hello<|im_end|>\n<|im_start|>assistant\nfine<|eot_id|></s>"), says("[INST] <think> </s>")]),
        "thinking": dict(messages=[user("u1"), says("<think>t</think>ok"), user("u2"), says("<think>\nlong\n</think>\n\nfine")]),
        "reasoning": dict(messages=[user("u1"), says("ok", reasoning_content="because"), user("u2"), says("fine", reasoning_content=" it \n is")]),
        "no think": dict(messages=[user("u1")], enable_thinking=False),
        "think": dict(messages=[user("u1")], enable_thinking=True),
        "quotes": dict(messages=[user("it's \"so\" \\ {{ x }} {% y %} {# z #} \x07"), says("'")]),
        "markup": dict(messages=[user("<b> & 'q' </b>"), says("a < b > c & d")]),
        "tools": dict(messages=[system, user("Weather in Köln?")], tools=TOOLS),
        "call": dict(
            messages=[
                user("Weather?"),
                says("", tool_calls=[call("get_weather", {"place": "Köln", "days": [1, 2], "deep": {"a": 1.5, "b": True}})]),
                {"role": "tool", "name": "get_weather", "content": "{\"sky\": \"blue\"}"},
                says("It is blue."),
            ],
            tools=TOOLS,
        ),
        "calls": dict(
            messages=[
                system,
                user("Both?"),
                says("Let me see.", tool_calls=[call("now", {}, "call00001"), call("get_weather", {"place": "x", "unit": None}, "call00002")]),
                {"role": "tool", "name": "now", "tool_call_id": "call00001", "content": "12:00"},
                {"role": "tool", "name": "get_weather", "tool_call_id": "call00002", "content": "rain"},
                says("12:00, rain"),
                user("Thanks"),
            ],
            tools=TOOLS,
        ),
        "call as text": dict(messages=[user("W?"), says("", tool_calls=[call("now", "{\"a\": 1}")]), {"role": "tool", "content": "ok"}]),
        "parts": dict(messages=[{"role": "user", "content": [{"type": "text", "text": "look "}, {"type": "text", "text": "here"}]}, says([{"type": "text", "text": "ok"}])]),
        "image": dict(messages=[{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what?"}]}]),
        "assistant first": dict(messages=[says("hm"), user("x")]),
        "two users": dict(messages=[user("a"), user("b")]),
        "odd role": dict(messages=[user("a"), {"role": "critic", "content": "no"}]),
        "none": dict(messages=[user("a"), {"role": "assistant", "content": None}]),
        "developer": dict(messages=[{"role": "developer", "content": "dev"}, user("a")]),
        "documents": dict(messages=[user("a")], documents=[{"title": "T", "text": "body <doc>"}]),
        "no messages": dict(messages=[]),
        "numbers": dict(messages=[user("n"), says("", tool_calls=[call("f", {"i": 10**15, "x": 1e-7, "y": 1e16, "z": 0.1, "n": -0.0, "k": "é\n"})])]),
    }
    for conversation in out.values():
        conversation.setdefault("tools", None)
        conversation.setdefault("documents", None)
    return out


class FixedDate:
    """datetime.now() of one day, for strftime_now."""

    @staticmethod
    def now():
        import datetime as real

        return real.datetime.fromisoformat(DATE)


class Render:
    def __init__(self):
        if not os.path.exists(TOOL):
            pytest.skip(f"{TOOL} is not built")
        self.process = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def ask(self, request):
        self.process.stdin.write(json.dumps(request, ensure_ascii=False) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def merit():
    tool = Render()
    yield tool
    tool.process.stdin.close()
    assert tool.process.wait() == 0


@pytest.fixture(autouse=True)
def fixed_date(monkeypatch):
    monkeypatch.setattr(utils, "datetime", FixedDate)


def reference(source, inputs):
    """Text and generation spans in characters, or the exception."""
    try:
        compiled = utils._compile_jinja_template(source)
        messages = utils._alias_reasoning_fields(inputs["messages"])
        rest = {k: v for k, v in inputs.items() if k not in ("messages", "tools", "documents", "add_generation_prompt")}
        return utils._render_with_assistant_indices(
            compiled, messages, inputs.get("tools"), inputs.get("documents"), inputs.get("add_generation_prompt"), **rest
        )
    except Exception as problem:
        return problem


def variants():
    for name, conversation in conversations().items():
        for prompt in (False, True):
            inputs = dict(conversation, add_generation_prompt=prompt, bos_token="<s>", eos_token="</s>")
            inputs["messages"] = utils._alias_reasoning_fields(inputs["messages"])
            yield f"{name}{' +' if prompt else ''}", inputs


def to_characters(text, ranges):
    raw = text.encode()
    return [[len(raw[:a].decode()), len(raw[:b].decode())] for a, b in ranges]


def mask_of(spans, size):
    mask = [False] * size
    for begin, end in spans:
        mask[begin:end] = [True] * (end - begin)
    return mask


def compare(merit, source, inputs, label):
    expected = reference(source, inputs)
    got = merit.ask({"inputs": inputs, "date": DATE})
    if isinstance(expected, Exception):
        assert "error" in got, f"{label}: reference raised {expected!r}, merit wrote {got['text']!r}"
        if type(expected) is jinja2.exceptions.TemplateError:  # raise_exception
            assert " ".join(str(expected).split()) in " ".join(got["error"].split()), label
        return None
    assert "error" not in got, f"{label}: {got}"
    assert got["text"] == expected[0], label
    return got, expected


@pytest.mark.parametrize("path", TEMPLATES, ids=[os.path.basename(p) for p in TEMPLATES])
def test_template_renders_as_the_reference(merit, path):
    with open(path, encoding="utf-8") as f:
        source = f.read()
    assert merit.ask({"template": source}) == {"compiled": True}
    rendered = 0
    masked = 0
    for label, inputs in variants():
        both = compare(merit, source, inputs, label)
        if both is None:
            continue
        rendered += 1
        got, expected = both
        text = got["text"]
        ours = mask_of(to_characters(text, got["generation"]), len(text))
        assert ours == mask_of(expected[1], len(text)), label
        masked += any(ours)
    assert rendered >= 10
    if "{% generation" in source or "{%- generation" in source:
        assert masked >= 2
