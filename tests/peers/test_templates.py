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
UNSUPPORTED = 4  # merit::ErrorKind::kUnsupported

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


# Templates drawn from a grammar


class Grammar:
    """Random templates: every construct of the dialect, mostly of the right types, now and then of wrong ones."""

    DATA = ["a", " ", "\n", "  \n", "\n  ", "x\n\n", "\t", "<|im_start|>", "\u00e9\u4e2d", "{ ", " }", "% ", "#", "'", "&<", "\r\n", "\n\n  y "]
    STRINGS = ["", "a", "Ab c", "  x ", "\u00c4\u00df\u00e9", "1", "-7", "2.5", "a,b,c", "user", "role", "l1\nl2\n", "\U0001f98a z", "<b>&", "%s", "tEsT-case (x)"]
    KEYS = ["role", "content", "name", "a", "b", "items", "n"]

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.names = []  # variables in scope, with their types
        self.macros = []
        self.spaces = []
        self.loops = 0

    def pick(self, *options):
        return self.rng.choice(options)

    def chance(self, p):
        return self.rng.random() < p

    # expressions, by type: s text, i integer, f real, b truth, l list, d mapping, n none

    def expr(self, depth, kind=None):
        if kind is None or self.chance(0.02):
            kind = self.rng.choice("ssiifbbllddn")
        known = [n for n, k in self.names if k == kind]
        if known and self.chance(0.35):
            return self.rng.choice(known)
        if depth <= 0:
            return self.leaf(kind)
        make = {"s": self.text, "i": self.integer, "f": self.real, "b": self.truth, "l": self.list, "d": self.mapping, "n": self.nothing}[kind]
        return make(depth - 1)

    def leaf(self, kind):
        return {
            "s": lambda: repr(self.rng.choice(self.STRINGS)) if self.chance(0.8) else self.pick("text", "word", "messages[0].content"),
            "i": lambda: self.pick("0", "1", "2", "3", "7", "-1", "-4", "count", "10", "1_000"),
            "f": lambda: self.pick("0.5", "2.0", "1e3", "-1.25", "ratio", "1e-7"),
            "b": lambda: self.pick("true", "false", "True", "flag"),
            "l": lambda: self.pick("[]", "numbers", "words", "messages", "[1, 2]", "(1,)", "()", "rows"),
            "d": lambda: self.pick("{}", "settings", "messages[0]", "{'a': 1}", "rows[0]"),
            "n": lambda: self.pick("none", "missing", "settings.nothing", "messages[0].absent"),
        }[kind]()

    def nothing(self, depth):
        return self.pick("none", "missing", f"{self.expr(depth, 'd')}.zzz", f"({self.expr(depth, 's')} if false)", f"{self.expr(depth, 'd')}.get('zz')")

    def text(self, depth):
        e = lambda kind=None: self.expr(depth, kind)
        return self.pick(
            lambda: f"{e('s')} + {e('s')}",
            lambda: f"{e('s')} ~ {e()}",
            lambda: f"({e()} ~ {e()} ~ {e('i')})",
            lambda: f"({e('s')} if {e('b')} else {e('s')})",
            lambda: f"({e('s')})[{self.slice(depth)}]",
            lambda: f"({e('s')})[{self.pick('0', '-1', '1', '9')}]",
            lambda: f"({e('s')}) * {self.pick('0', '2', '3')}",
            lambda: f"({e('s')}) | {self.pick('upper', 'lower', 'title', 'capitalize', 'trim', 'string', 'e', 'reverse', 'safe', 'forceescape')}",
            lambda: f"({e('s')}).{self.pick('upper', 'lower', 'strip', 'lstrip', 'rstrip', 'title', 'capitalize', 'swapcase', 'casefold')}()",
            lambda: f"({e('s')}).{self.pick('strip', 'lstrip', 'rstrip', 'removeprefix', 'removesuffix')}({e('s')})",
            lambda: f"({e('s')}) | replace({e('s')}, {e('s')}{self.pick('', ', 1')})",
            lambda: f"({e('s')}).replace({e('s')}, {e('s')}{self.pick('', ', 1')})",
            lambda: f"({e('l')}) | join({self.pick('', repr(', '), e('s'))})",
            lambda: f"({e('s')}).join({self.pick('words', '[' + e('s') + ', ' + e('s') + ']')})",
            lambda: f"({e()}) | tojson{self.pick('', '(indent=2)', '(ensure_ascii=true)', '(sort_keys=true)')}",
            lambda: f"({e()}) | string",
            lambda: f"({e('s')}) | truncate({self.pick('4', '5', '9, true')}{self.pick('', ', end=' + repr('..'))})" if self.chance(0.5) else f"({e('s')}) | center({self.pick('3', '9')})",
            lambda: f"({e('s')}) | indent({self.pick('', '2', '1, true', '3, blank=true')})",
            lambda: f"'%s-%s' % ({e()}, {e('i')})",
            lambda: f"'%{self.pick('d', '5d', '-4d', '05d', 'x', 'o')}|' % ({e('i')})",
            lambda: f"'%{self.pick('.2f', 'e', 'g', '8.3f', '.0f')}' % ({e('f')})",
            lambda: f"'{self.pick('{} {}', '{0}{1}{0}', '{:>5}|{:<4}', '{a}')}'.format({e('s')}, {e('i')}{self.pick('', ', a=1')})",
            lambda: f"({e('s')} | default({e('s')}{self.pick('', ', true')}))",
            lambda: f"({e()} or {e('s')})",
            lambda: f"({e()} and {e('s')})",
            lambda: f"({e('s')}).{self.pick('ljust', 'rjust', 'center', 'zfill')}({self.pick('2', '7')})",
            lambda: f"({e('s')}).{self.pick('partition', 'rpartition')}({self.pick(repr('a'), repr(' '))})[{self.pick('0', '1', '2', '-1')}]",
            lambda: f"({e('s')}).split({self.pick('', repr(' '), repr('a'), repr(','))})[{self.pick('0', '-1', '1')}]",
            lambda: self.call_macro(depth),
        )()

    def slice(self, depth):
        part = lambda: self.pick("", "0", "1", "2", "-1", "-2", "5", "count") if self.chance(0.9) else self.expr(depth, "i")
        return f"{part()}:{part()}" + self.pick("", "", f":{self.pick('1', '2', '-1', '-2')}")

    def integer(self, depth):
        e = lambda kind=None: self.expr(depth, kind)
        return self.pick(
            lambda: f"({e('i')} {self.pick('+', '-', '*', '//', '%')} {e('i')})",
            lambda: f"{self.pick('-', '+', '- -')}({e('i')})",
            lambda: f"({e('i')}) ** {self.pick('0', '1', '2', '3')}",
            lambda: f"({self.pick(e('s'), e('l'), e('d'))}) | {self.pick('length', 'count')}",
            lambda: f"({self.pick(e('s'), e('f'), e('b'), e())}) | int{self.pick('', '(5)', '(default=3)')}",
            lambda: f"({e('i')}) | abs",
            lambda: f"numbers | {self.pick('sum', 'max', 'min', 'first', 'last')}",
            lambda: f"({e('s')}).{self.pick('find', 'count', 'rfind', 'index')}({e('s')})",
            lambda: f"({e('s')}) | wordcount",
            lambda: f"[{e('i')}, {e('i')}][{self.pick('0', '1', '-1')}]",
            lambda: f"({e('i')} if {e('b')} else {e('i')})",
            lambda: f"({e('l')}).{self.pick('index', 'count')}({e()})",
        )()

    def real(self, depth):
        e = lambda kind=None: self.expr(depth, kind)
        return self.pick(
            lambda: f"({e('i')} / {self.pick('2', '4', '3', e('i'))})",
            lambda: f"({e('f')} {self.pick('+', '-', '*', '//', '%')} {self.pick(e('f'), e('i'))})",
            lambda: f"({e('f')}) | round{self.pick('', '(1)', '(2, ' + repr('floor') + ')', '(0, ' + repr('ceil') + ')')}",
            lambda: f"({self.pick(e('s'), e('i'))}) | float",
            lambda: f"-({e('f')})",
        )()

    def truth(self, depth):
        e = lambda kind=None: self.expr(depth, kind)
        number = lambda: self.pick(e("i"), e("f"))
        return self.pick(
            lambda: f"({number()} {self.pick('==', '!=', '<', '<=', '>', '>=')} {number()})",
            lambda: f"({e('s')} {self.pick('==', '!=', '<', '>=')} {e('s')})",
            lambda: f"({e()} {self.pick('==', '!=')} {e()})",
            lambda: f"({e('s')} {self.pick('in', 'not in')} {self.pick(e('s'), e('l'), e('d'))})",
            lambda: f"({e()} {self.pick('in', 'not in')} {e('l')})",
            lambda: f"not {e()}",
            lambda: f"({e('b')} {self.pick('and', 'or')} {e('b')})",
            lambda: f"({e()}) is {self.pick('', 'not ')}{self.pick('defined', 'undefined', 'none', 'string', 'number', 'integer', 'float', 'boolean', 'mapping', 'sequence', 'iterable', 'true', 'false', 'callable')}",
            lambda: f"({e('i')}) is {self.pick('odd', 'even', 'divisibleby 2', 'divisibleby(3)', 'eq 1', 'gt(2)', 'in [1, 2]', 'lt 3')}",
            lambda: f"({e('s')}) is {self.pick('upper', 'lower', 'filter', 'test', 'in words', 'eq ' + repr('a'), 'ne ' + repr('a'))}",
            lambda: f"({e('s')}).{self.pick('startswith', 'endswith')}({self.pick(e('s'), '(' + repr('a') + ', ' + repr('u') + ')')})",
            lambda: f"({e('s')}).{self.pick('isdigit', 'isalpha', 'isupper', 'islower', 'isspace', 'isalnum', 'isnumeric', 'istitle')}()",
            lambda: f"(1 < {e('i')} < {e('i')})",
        )()

    def list(self, depth):
        e = lambda kind=None: self.expr(depth, kind)
        attribute = lambda: self.pick("'role'", "'n'", "'a'", "'content'", "'name'")
        return self.pick(
            lambda: "[" + ", ".join(e() for _ in range(self.rng.randint(0, 4))) + self.pick("", "") + "]",
            lambda: "(" + "".join(e() + ", " for _ in range(self.rng.randint(1, 3))) + ")",
            lambda: f"({e('l')})[{self.slice(depth)}]",
            lambda: f"{e('l')} + {e('l')}",
            lambda: f"range({self.pick('3', '0', '1, 4', '5, 0, -2', e('i'))}) | list",
            lambda: f"({e('l')}) | {self.pick('list', 'sort', 'reverse | list', 'unique | list', 'sort(reverse=true)')}",
            lambda: f"messages | map(attribute={attribute()}{self.pick('', ', default=0')}) | list",
            lambda: f"({e('l')}) | map({self.pick(repr('upper'), repr('string'), repr('length'), repr('int'))}) | list",
            lambda: f"({self.pick('messages', 'rows')}) | {self.pick('selectattr', 'rejectattr')}({attribute()}{self.pick('', ', ' + repr('defined'), ', ' + repr('equalto') + ', ' + e('s'))}) | list",
            lambda: f"({e('l')}) | {self.pick('select', 'reject')}({self.pick('', repr('odd'), repr('string'), repr('gt') + ', 1', repr('in') + ', words')}) | list",
            lambda: f"({e('l')}) | {self.pick('batch', 'slice')}({self.pick('1', '2', '3, 0')}) | list",
            lambda: f"({e('s')}).{self.pick('split', 'splitlines', 'rsplit')}() ",
            lambda: f"({e('s')}).split({self.pick(repr(','), repr(' '), repr(chr(10)))}{self.pick('', ', 1')})",
            lambda: f"({e('d')}).{self.pick('keys', 'values', 'items')}() | list",
            lambda: f"({e('d')}) | {self.pick('dictsort', 'items | list', 'list', 'dictsort(by=' + repr('value') + ')')}",
            lambda: f"({e('s')}) | list",
            lambda: f"rows | {self.pick('sort', 'groupby')}({'attribute=' + attribute() if self.chance(0.7) else attribute()})",
        )()

    def mapping(self, depth):
        e = lambda kind=None: self.expr(depth, kind)
        key = lambda: self.pick(repr(self.rng.choice(self.KEYS)), e("s"), "1", "true", "none")
        return self.pick(
            lambda: "{" + ", ".join(f"{key()}: {e()}" for _ in range(self.rng.randint(0, 3))) + "}",
            lambda: f"dict(a={e()}, b={e()})",
            lambda: f"dict({e('d')}, n={e()})",
            lambda: f"({self.pick('messages', 'rows')}) | {self.pick('first', 'last')}",
            lambda: f"({e('d')}).copy()" if self.chance(0.3) else "settings.deep",
            lambda: f"({e('d')} or {e('d')})",
        )()

    def call_macro(self, depth):
        if not self.macros:
            return self.leaf("s")
        name, size = self.rng.choice(self.macros)
        given = [self.expr(depth) for _ in range(self.rng.randint(max(0, size - 1), size))]
        if given and self.chance(0.3):
            given[-1] = f"p{len(given) - 1}={given[-1]}"
        return f"{name}({', '.join(given)})"

    # statements

    def tag(self, inside):
        return "{%" + self.pick("", "", "", "-", "+") + " " + inside + " " + self.pick("", "", "", "-", "+") + "%}"

    def data(self):
        return "".join(self.rng.choice(self.DATA) for _ in range(self.rng.randint(0, 3)))

    def body(self, depth, size=3):
        known, macros, spaces = list(self.names), list(self.macros), list(self.spaces)
        out = self.data()
        for _ in range(self.rng.randint(1, size)):
            out += self.statement(depth) + self.data()
        self.names, self.macros, self.spaces = known, macros, spaces
        return out

    def block(self, opening, depth, closing, **bound):
        self.names += list(bound.items())
        out = self.tag(opening) + self.body(depth, 2)
        for item in bound.items():
            if item in self.names:
                self.names.remove(item)
        return out + (self.tag(closing) if closing else "")

    def statement(self, depth):
        options = [self.print, self.print, self.print, self.set, self.comment, self.raw]
        if depth > 0:
            options += [self.condition, self.condition, self.loop, self.loop, self.loop, self.set_block, self.macro, self.space,
                        self.filtered, self.with_block, self.caller, self.generation]
        if self.loops:
            options += [self.leave, self.of_loop, self.of_loop]
        if self.spaces:
            options += [self.set_member, self.set_member]
        return self.rng.choice(options)(depth)

    def print(self, depth):
        return "{{" + self.pick("", "", "-", "+") + " " + self.expr(self.rng.randint(0, 3)) + " " + self.pick("", "", "-") + "}}"

    def comment(self, depth):
        return "{#" + self.pick("", "-") + " note {{ x }} " + self.pick("", "-") + "#}"

    def raw(self, depth):
        return "{%" + self.pick("", "-") + " raw " + self.pick("", "-") + "%}" + self.data() + "{{ x }}" + self.tag("endraw")

    def set(self, depth):
        kind = self.rng.choice("sibld")
        value = self.expr(2, kind)
        name = f"v{self.rng.randint(0, 4)}"
        self.names = [(n, k) for n, k in self.names if n != name] + [(name, kind)]
        if self.chance(0.1):
            return self.tag(f"set {name}, w = {value}, {self.expr(1)}")
        return self.tag(f"set {name} = {value}")

    def set_block(self, depth):
        out = self.block("set blk" + self.pick("", " | upper", " | trim | length"), depth - 1, "endset")
        self.names.append(("blk", "s"))
        return out

    def condition(self, depth):
        out = self.tag(f"if {self.expr(2, self.pick('b', 'b', None))}") + self.body(depth - 1, 2)
        for _ in range(self.rng.choice([0, 0, 1, 2])):
            out += self.tag(f"elif {self.expr(1, 'b')}") + self.body(depth - 1, 2)
        if self.chance(0.5):
            out += self.tag("else") + self.body(depth - 1, 2)
        return out + self.tag("endif")

    def loop(self, depth):
        name, kind, source = self.rng.choice([
            ("m", "d", "messages"), ("r", "d", "rows"), ("k", "s", "settings"), ("c", "s", self.expr(1, "s")), ("i", "i", "numbers"),
            ("w", "s", "words"), ("x", "i", "range(3)"), ("y", "s", self.expr(2, "l")), ("k, v", "s", "settings.items()"),
            ("k, v", "s", "settings | dictsort"), ("a, b", "i", "[[1, 2], [3, 4]]"), ("p", "s", "words | map('upper')"),
            ("g, rest", "s", "rows | groupby('a')"), ("(a, b), c", "i", "[[[1, 2], 3]]"), ("q", "s", self.expr(2))])
        test = f" if {self.expr(1, 'b')}" if self.chance(0.25) else ""
        if test and kind == "i":
            test = self.pick(test, f" if {name.split(',')[0].strip('(')} > 1")
        self.loops += 1
        names = {n.strip("() "): kind for n in name.split(",")}
        out = self.block(f"for {name} in {source}{test}", depth - 1, None, **names)
        self.loops -= 1
        if self.chance(0.2):
            out += self.tag("else") + self.body(depth - 1, 2)
        return out + self.tag("endfor")

    def of_loop(self, depth):
        return "{{ " + self.pick(
            "loop.index", "loop.index0", "loop.first", "loop.last", "loop.length", "loop.revindex", "loop.revindex0", "loop.previtem",
            "loop.nextitem", "loop.depth0", "loop.cycle('a', 'b')", "loop.changed(loop.index // 2)", "loop.previtem is defined",
            "(loop.nextitem or {}).role", "'x' if loop.last else ','") + " }}"

    def leave(self, depth):
        return self.tag(f"if {self.expr(1, 'b')}") + self.tag(self.pick("break", "continue")) + self.tag("endif")

    def macro(self, depth):
        size = self.rng.randint(0, 3)
        name = f"f{self.rng.randint(0, 2)}"
        defaults = self.rng.randint(0, size)
        parameters = [f"p{i}" + (f"={self.expr(1)}" if i >= size - defaults else "") for i in range(size)]
        loops, self.loops = self.loops, 0
        out = self.block(f"macro {name}({', '.join(parameters)})", depth - 1, None, **{f"p{i}": "s" for i in range(size)})
        self.loops = loops
        out += self.pick("", "{{ caller() if caller else '' }}", "{{ varargs }}", "{{ kwargs }}") + self.tag("endmacro")
        self.macros.append((name, size))
        return out

    def caller(self, depth):
        if not self.macros:
            return self.print(depth)
        loops, self.loops = self.loops, 0
        out = self.block(f"call {self.call_macro(1)}", depth - 1, "endcall")
        self.loops = loops
        return out

    def space(self, depth):
        out = self.tag(f"set ns = namespace(a={self.expr(1, 'i')}, b={self.expr(1)})")
        self.spaces.append("ns")
        self.names.append(("ns.a", "i"))
        return out

    def set_member(self, depth):
        return self.tag(f"set ns.{self.pick('a', 'b', 'c')} = {self.pick('ns.a + 1', self.expr(2))}")

    def filtered(self, depth):
        loops, self.loops = self.loops, 0
        out = self.block(f"filter {self.pick('upper', 'trim', 'replace(' + repr('a') + ', ' + repr('b') + ')', 'indent(2)', 'length', 'title | reverse')}", depth - 1, "endfilter")
        self.loops = loops
        return out

    def with_block(self, depth):
        return self.block(f"with z = {self.expr(1, 'i')}", depth - 1, "endwith", z="i")

    def generation(self, depth):
        loops, self.loops = self.loops, 0
        out = self.block("generation", depth - 1, "endgeneration")
        self.loops = loops
        return out


def grammar_inputs(seed):
    rng = random.Random(seed)
    text = lambda: rng.choice(Grammar.STRINGS)
    row = lambda: {"a": rng.randint(0, 2), "n": rng.choice([1, 2.5, 3]), "name": text(), "role": rng.choice(["user", "tool"])}
    return {
        "messages": [{"role": r, "content": text()} for r in ("system", "user", "assistant")[rng.randint(0, 1) :]],
        "text": text(), "word": "word", "count": rng.randint(-2, 5), "ratio": rng.choice([0.1, 1.5, -2.25, 1e20]), "flag": rng.random() < 0.5,
        "numbers": [rng.randint(-3, 9) for _ in range(rng.randint(0, 4))], "words": [text() for _ in range(rng.randint(0, 3))],
        "rows": [row() for _ in range(rng.randint(1, 4))],
        "settings": {"b": text(), "a": rng.randint(0, 9), "nothing": None, "deep": {"x": [1, {"y": text()}]}},
        "add_generation_prompt": True, "tools": None, "documents": None,
    }


def test_random_templates_render_as_the_reference(merit):
    """Thousands of templates from a grammar: the same bytes, or an error from both. What merit says it does not do
    (integers past 64 bits, printing a generator) is left out, and counted."""
    total, rendered, failed, refused = 3000, 0, 0, 0
    wrong = []
    for seed in range(total):
        source = Grammar(seed).body(3, 5)
        inputs = grammar_inputs(seed)
        expected = reference(source, inputs)
        got = merit.ask({"template": source})
        if "error" not in got:
            got = merit.ask({"inputs": inputs, "date": DATE})
        if got.get("kind") == UNSUPPORTED and not isinstance(expected, Exception):
            refused += 1
        elif isinstance(expected, Exception) != ("error" in got) or ("error" not in got and got["text"] != expected[0]):
            wrong.append((seed, source, expected, got))
        elif "error" in got:
            failed += 1
        else:
            rendered += 1
    assert not wrong, f"{len(wrong)} of {total} differ; the shortest: {min(wrong, key=lambda w: len(w[1]))}"
    assert rendered >= total // 3 and failed >= 100 and refused <= total // 50, (rendered, failed, refused)
