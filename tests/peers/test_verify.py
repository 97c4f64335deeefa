"""Mathematical answers against Math-Verify: its own public tests, from its source package.

None of its tests is copied: they are read from the package (PEER_SRC/math_verify-*, or fetched by pip from the package
index), and every one that has a reference, a response and an expected verdict is given to merit's profile math-verify.
docs/verify.md lists each on which merit differs, by the test's name and row, with who is right.
"""
import importlib.util
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / os.environ.get("MERIT_BUILD", "build/release") / "peers" / "verify_answers"
VERSION = "0.9.0"
pytest.importorskip("math_verify")


def merit(items):
    text = "\n".join(json.dumps(item) for item in items)
    result = subprocess.run([TOOL], input=text, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    for folder in (Path(os.environ["PEER_SRC"]).glob("math*verify*") if "PEER_SRC" in os.environ else ()):
        if (folder / "tests").is_dir():
            return folder / "tests"
    folder = tmp_path_factory.mktemp("math_verify")
    fetched = subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:",
                              "--no-build-isolation", f"math-verify=={VERSION}", "-d", folder], capture_output=True, text=True)
    archives = list(folder.glob("*.tar.gz"))
    if not archives:
        pytest.skip(f"the source package is not at hand: set PEER_SRC ({fetched.stderr.strip()[-100:]})")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.glob("math_verify-*/tests"))


def rows_of(tests):
    """(name of the test and row, reference, response, expected) of every parametrised test with such rows."""
    sys.path.insert(0, str(tests))
    for path in sorted(tests.glob("test_*.py")):
        spec = importlib.util.spec_from_file_location("peer_" + path.stem, path)
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except ImportError:
            continue  # helpers that the package does not ship
        for name, function in sorted(vars(module).items()):
            for mark in getattr(function, "pytestmark", []):
                if mark.name != "parametrize":
                    continue
                keys = [k.strip() for k in mark.args[0].split(",")] if isinstance(mark.args[0], str) else list(mark.args[0])
                if not {"gold", "pred", "expected"} <= set(keys):
                    continue
                for index, values in enumerate(mark.args[1]):
                    row = dict(zip(keys, getattr(values, "values", values)))
                    if isinstance(row["gold"], str) and isinstance(row["pred"], str):
                        yield f"{path.stem}::{name}[{index}]", row["gold"], row["pred"], bool(row["expected"])


def documented():
    """The rows that docs/verify.md lists: `test_all::test_x[3]`, several as [3, 5]."""
    out = set()
    for name, rows in re.findall(r"`(test_\w+::test_\w+)\[([\d, ]+)\]`", (ROOT / "docs" / "verify.md").read_text()):
        out |= {f"{name}[{row.strip()}]" for row in rows.split(",")}
    return out


def test_math_verifys_own_tests(sources):
    rows = list(rows_of(sources))
    assert len(rows) > 150
    verdicts = merit([{"reference": g, "response": p, "profile": "math-verify"} for _, g, p, _ in rows])
    differ = {name: (v["outcome"], v["reason"], g[:80], p[-80:], e)
              for (name, g, p, e), v in zip(rows, verdicts) if (v["outcome"] == "correct") != e}
    print(f"math-verify's tests: {len(rows) - len(differ)} of {len(rows)} verdicts agree")
    new = {name: what for name, what in differ.items() if name not in documented()}
    assert not new, "\n".join(f"{name}: {what}" for name, what in new.items())
    stale = documented() - set(differ)
    assert not stale, f"docs/verify.md lists rows that agree: {sorted(stale)}"


def test_field_cases_where_the_peer_is_wrong():
    """What the strict profile decides and the peer does not, or decides otherwise: the reasons for having it."""
    from math_verify import parse, verify
    cases = [("$10\\text{ cm}$", "$10\\text{ m}$", False), ("$x<3$", "$2x<6$", True), ("$x=-2$", "$2x+4=0$", True),
             ("$9$", "$9\\%$", False), ("$\\sqrt2+\\sqrt3$", "$\\sqrt{5+2\\sqrt6}$", True)]
    verdicts = merit([{"reference": g, "response": p} for g, p, _ in cases])
    assert [v["outcome"] == "correct" for v in verdicts] == [t for _, _, t in cases]
    peer = [verify(parse(g), parse(p)) for g, p, _ in cases]
    assert peer[:4] == [True, False, False, True], "the peer has changed: docs/verify.md describes 0.9.0"
