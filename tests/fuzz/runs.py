"""`python -m tests.fuzz.runs`: two and four runs on one workspace at once; no error, and no video made twice."""

import argparse
import collections
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.stage import ended, forked, prepare, run_stage

STYLES = ("Original", "Night", "Rainy")


def work(made, seed):
    """Both stages, as one run of several."""
    rng = random.Random(seed)
    run_stage("single_view", made, lambda: time.sleep(rng.random() * 0.02))
    run_stage("multi_view", made, lambda: time.sleep(rng.random() * 0.02))


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.runs", description=__doc__)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 4])
    given = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="runs-"))
    began, failed = time.monotonic(), 0
    try:
        prepare(base / "good", clips=("clip_a", "clip_b"), styles=STYLES)
        for time_, processes in ((n, p) for n in range(given.times) for p in given.processes):
            folder = base / "case"
            shutil.copytree(base / "good", folder)
            os.chdir(folder)
            made = folder / "made"
            children = [
                forked(lambda made=made, seed=(time_, n): work(made, str(seed)), folder / f"log{n}")
                for n in range(processes)
            ]
            codes = [ended(child) for child in children]
            counts = collections.Counter(made.read_text().splitlines())
            twice = [line for line, count in counts.items() if count > 1]
            files = [path for path in (folder / "outputs").rglob("*") if path.is_file()]
            left = [str(path) for path in files if ".partial-" in path.name or ".locks" in path.parts]
            if any(codes) or twice or left or len(counts) != 2 * 2 * len(STYLES):
                failed += 1
                logs = "".join((folder / f"log{n}").read_text()[-800:] for n in range(processes) if codes[n])
                print(f"{processes} runs, time {time_}: codes {codes}, twice {twice}, left {left}\n{logs}", flush=True)
            os.chdir(base)
            shutil.rmtree(folder)
    finally:
        os.chdir("/")
        shutil.rmtree(base, ignore_errors=True)
    total = given.times * len(given.processes)
    print(f"{total} times {given.processes} runs at once, {failed} failed, {time.monotonic() - began:.0f} s")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
