"""Every ```console block of the command pages runs: lines after "$ " are commands, the rest is their output.

Blocks of a page share a folder that starts with the tiny model as MODEL. In the output, "..." stands for anything on
the rest of the line, and a line of "..." for any lines.
"""
import re
import subprocess
from pathlib import Path

import pytest
from conftest import MERIT, ROOT

PAGES = sorted((ROOT / "docs" / "commands").glob("*.md"))


def blocks(page):
    return re.findall(r"^```console\n(.*?)^```", page.read_text(), flags=re.M | re.S)


def steps(block):
    """(command, expected lines) of a block; a command may go on over lines that end with a backslash."""
    out = []
    for line in block.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            out.append((line[2:], []))
        else:
            out[-1][1].append(line)
    return out


def matches(expected, actual):
    pattern = ""
    for line in expected:
        pattern += r"(?:.*\n)*?" if line == "..." else re.escape(line.rstrip()).replace(r"\.\.\.", ".*") + r"[ ]*\n"
    return re.fullmatch(pattern, actual if actual.endswith("\n") or not actual else actual + "\n") is not None


def test_there_are_pages_and_each_has_examples():
    assert len(PAGES) >= 8
    for page in PAGES:
        assert blocks(page), f"{page.name} has no console block"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples(page, tiny, tmp_path):
    (tmp_path / "MODEL").symlink_to(tiny)
    for block in blocks(page):
        for command, expected in steps(block):
            line = re.sub(r"\bmerit (?=[a-z-])", f"{MERIT} ", command)
            done = subprocess.run(["bash", "-c", f"set -o pipefail; {line}"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
            if expected:
                shown = done.stdout if done.stdout else done.stderr
                assert matches(expected, shown), f"{page.name}: {command}\n--- expected\n" + "\n".join(expected) + f"\n--- got\n{shown}"
            else:
                assert done.returncode == 0, f"{page.name}: {command}\n{done.stderr}"
