"""make soak: a file of a million rows scored by a tiny model at flat memory, and killed at random moments and continued
to the same bytes.

    ROWS    rows (default 1,000,000)
    KILLS   times the second run is killed (default 10)
    SEED    of the moments (default 0)
"""
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MERIT = ROOT / os.environ.get("MERIT_BUILD", "build/release") / "merit"
ROWS = int(os.environ.get("ROWS", "1000000"))
KILLS = int(os.environ.get("KILLS", "10"))
GROWTH_MB = 96  # 16 bytes an id and a number a row and reward, doubled as tables grow
sys.path.insert(0, str(ROOT / "tests" / "apps"))
from conftest import write_tiny_model  # noqa: E402


def resident_mb(pid):
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def start(args):
    return subprocess.Popen([str(a) for a in args], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                            env=dict(os.environ, OMP_WAIT_POLICY="PASSIVE"))


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main():
    generator = random.Random(int(os.environ.get("SEED", "0")))
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        model = write_tiny_model(work / "model", hidden=16, layers=1)
        data = work / "rows.jsonl"
        with open(data, "w") as file:
            for i in range(ROWS):
                file.write(json.dumps({"prompt": f"q{i}", "completion": f"a{i * 7}"}) + "\n")
        command = [MERIT, "score", data, "--model", model, "--reward", "likelihood", "--out"]

        process = start([*command, work / "whole.jsonl"])
        begin, memory = time.perf_counter(), []
        while process.poll() is None:
            memory.append(resident_mb(process.pid))
            time.sleep(0.1)
        seconds = time.perf_counter() - begin
        if process.returncode != 0:
            sys.exit(process.stderr.read().decode())
        memory = [m for m in memory if m]
        settled, most = memory[len(memory) // 10], max(memory)

        done_at = []
        part = work / "part.jsonl"
        while True:
            process = start([*command, part])
            if len(done_at) < KILLS:
                time.sleep(generator.uniform(0.1, 2 * seconds / (KILLS + 1)))
                process.kill()
            _, errors = process.communicate()
            if process.returncode == 0:
                break
            if process.returncode != -9:
                sys.exit(errors.decode())
            done_at.append(part.stat().st_size if part.exists() else 0)
        same = digest(part) == digest(work / "whole.jsonl")
        flat = most - settled <= GROWTH_MB
        print(f"killed with {', '.join(f'{size / 1e6:.0f}' for size in done_at)} MB written", file=sys.stderr)
        print(f"soak: rows={ROWS} rows_per_s={ROWS / seconds:.0f} rss_mb_at_10pct={settled:.0f} rss_mb_most={most:.0f} "
              f"kills={len(done_at)} same_bytes={'yes' if same else 'NO'} flat={'yes' if flat else 'NO'}")
        sys.exit(0 if same and flat else 1)


if __name__ == "__main__":
    main()
