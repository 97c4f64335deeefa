"""The report page in a real browser: it must render, load nothing, and no record may run as script.

Runs with pytest. Needs the tool build/<dir>/peers/report_sample (MERIT_BUILD names the build folder) and Chromium;
skips without them. The browser gets a fresh profile and no network.
"""

import html.parser
import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / os.environ.get("MERIT_BUILD", "build/release") / "peers" / "report_sample"
VOID = {"meta", "input", "br", "img", "link"}


def make_page(folder, kind):
    if not TOOL.exists():
        pytest.skip(f"{TOOL} is not built")
    page = folder / f"{kind}.html"
    subprocess.run([TOOL, page, kind], check=True, stdout=subprocess.DEVNULL, timeout=120)
    return page


def browse(page, profile, *options):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("Chromium is not installed")
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
               "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
               "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={profile}", "--window-size=1100,1400",
               *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, check=True, timeout=240).stdout.decode("utf-8", "replace")


class Reader(html.parser.HTMLParser):
    """Checks that elements close in order, and keeps what matters."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.seen, self.handlers, self.links = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open[-3:], self.getpos())
        self.open.pop()


@pytest.mark.parametrize("kind", ["plain", "gain", "hostile"])
def test_markup_is_well_formed_and_inert(tmp_path, kind):
    reader = Reader(make_page(tmp_path, kind).read_text(encoding="utf-8"))
    assert reader.open == []
    assert reader.seen.count("script") == 1 and "img" not in reader.seen
    assert reader.seen.count("svg") == 4
    assert reader.handlers == []
    assert all(link.startswith("#") for link in reader.links)


def test_the_browser_runs_the_pages_script_and_no_record(tmp_path):
    dom = browse(make_page(tmp_path, "hostile"), tmp_path / "profile", "--dump-dom", "--virtual-time-budget=3000")
    assert "<title>Did picking by score help?</title>" in dom  # a record that ran would have renamed the page
    reader = Reader(dom)
    assert "img" not in reader.seen
    assert reader.seen.count("button") >= 10  # the table heads became buttons: the page's own script ran


def test_the_page_paints(tmp_path):
    shot = tmp_path / "page.png"
    browse(make_page(tmp_path, "gain"), tmp_path / "profile", f"--screenshot={shot}")
    assert shot.read_bytes().startswith(b"\x89PNG") and shot.stat().st_size > 40_000
