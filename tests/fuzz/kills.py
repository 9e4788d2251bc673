"""`python -m tests.fuzz.kills`: 04 and 05 killed at every file operation; the next run leaves nothing behind."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.stage import ended, forked, prepare, run_stage

EVENTS = (
    "open",
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.truncate",
    "os.listdir",
    "os.scandir",
    "shutil.rmtree",
)
RESULTS = {
    *("single_view/clip_a_Night.mp4", "single_view/clip_a_Night.json", "multi_view/clip_a_Night.json"),
    *(f"multi_view/clip_a_Night/{name}.mp4" for name in (*range(6), "grid")),
    "multi_view/clip_a_Night/prompt.json",
}


def both_stages():
    run_stage("single_view")
    run_stage("multi_view")


def killed_at(root, number):
    """Run both stages; the process kills itself before its file operation of that number inside `root`."""
    count = [0]

    def hook(event, arguments):
        if event in EVENTS and arguments and str(root) in str(arguments[0]):
            count[0] += 1
            if count[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    both_stages()
    print(f"operations: {count[0]}")


def faults(root, log):
    """What a workspace should not have after the run that follows a kill."""
    found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    left = sorted(name for name in found if ".partial-" in name or name.startswith(".locks"))
    lacking = sorted(RESULTS - found)
    said = log.read_text().count("Traceback")
    return [f"left {left}"] * bool(left) + [f"lacks {lacking}"] * bool(lacking) + ["a traceback"] * bool(said)


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.kills", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="every how many-th operation")
    every = parser.parse_args().every
    base = Path(tempfile.mkdtemp(prefix="kills-"))
    began, number, failed, total, points = time.monotonic(), 1, 0, None, 0
    try:
        good = base / "good"
        prepare(good)
        while total is None or number <= total:
            folder = base / "case"
            shutil.copytree(good, folder)
            os.chdir(folder)
            os.environ["DREAMKIT_CACHE"] = str(folder / "cache")
            root, log = folder / "outputs", folder / "log"
            code = ended(forked(lambda root=root, at=number: killed_at(root, at), log))
            points += code == -signal.SIGKILL
            if code == 0:
                total = 0
            log.unlink(missing_ok=True)
            code = ended(forked(both_stages, log))
            wrong = faults(root, log) + ([f"exit code {code}"] if code else [])
            if wrong:
                failed += 1
                print(f"killed before operation {number}: {'; '.join(wrong)}\n{log.read_text()[-1500:]}", flush=True)
            os.chdir(base)
            shutil.rmtree(folder)
            number += every
    finally:
        os.chdir("/")
        shutil.rmtree(base, ignore_errors=True)
    print(f"{points} kill points, {failed} failed, {time.monotonic() - began:.0f} s")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
