"""Runs the cases of a format: each must end well or in a DreamkitError, in its folder, in 10 s and 1 GB.

A format is a module of `formats/` with two functions: `seeds(folder)` writes good files once and returns what `case`
needs; `case(rng, folder, seeds)` makes one damaged or hostile input in an empty folder and reads it.
"""

import contextlib
import io
import logging
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from dreamkit.errors import DreamkitError

FORMATS = (
    *("tar", "arrays", "spec", "params", "weight_map", "checkpoint"),
    *("captions", "csv_file", "sidecar", "verdicts", "mp4", "names"),
)
CASE_SECONDS = 10
MOST_GROWTH = 2**30  # of the process's largest memory, above that before the first case
LONGEST_MESSAGE = 11_000


class TooSlow(BaseException):
    pass


def _too_slow(*_):
    raise TooSlow


def tree(folder):
    """Every file below a folder, and those that absolute hostile names lead to; what a case must not change."""
    found = [*folder.rglob("*"), *Path("/tmp").glob("fuzz-evil*")]
    return {str(p): (p.lstat().st_size, p.lstat().st_mtime_ns) for p in found if not p.is_dir()}


class Fuzzer:
    def __init__(self, name, module):
        self.name, self.module = name, module

    def run(self, seed, cases, seconds):
        """Number of failed cases; the first of each kind is printed with its seed and its traceback."""
        logging.getLogger("dreamkit").setLevel(logging.CRITICAL)
        warnings.simplefilter("ignore")
        root = Path(tempfile.mkdtemp(prefix=f"fuzz-{self.name}-"))
        failed = done = 0
        slowest, told = 0.0, set()
        before_home, before_handler = Path.cwd(), signal.signal(signal.SIGALRM, _too_slow)
        began = time.monotonic()
        try:
            # A file that `../` or `../../` from a workspace would reach; nothing beside the case's folder may change.
            (root / "outside").mkdir()
            (root / "outside" / "precious.txt").write_text("precious")
            good = root / "good"
            good.mkdir()
            seeds = self.module.seeds(good)
            guarded = tree(root)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            while done < cases and time.monotonic() - began < seconds:
                folder = root / "a" / "b" / "case"
                folder.mkdir(parents=True)
                os.chdir(folder)
                started = time.monotonic()
                fault = self._case(random.Random(f"{self.name} {seed + done}"), folder, seeds)
                slowest = max(slowest, time.monotonic() - started)
                os.chdir(before_home)
                shutil.rmtree(folder)
                if not fault and tree(root) != guarded:
                    fault = f"outside: {sorted({*tree(root).items()} ^ {*guarded.items()})[:4]}"
                    guarded = tree(root)
                growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
                if not fault and growth * 1024 > MOST_GROWTH:
                    fault, memory = f"{growth / 2**20:.1f} GiB", memory + growth
                if fault:
                    failed += 1
                    kind = fault.strip().splitlines()[-1][:60]
                    if kind not in told:
                        print(f"{self.name}, seed {seed + done}: {fault}", flush=True)
                    told.add(kind)
                done += 1
        finally:
            os.chdir(before_home)
            signal.signal(signal.SIGALRM, before_handler)
            shutil.rmtree(root, ignore_errors=True)
        took, grown = time.monotonic() - began, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
        bad = f"{failed} failed, the slowest {slowest:.1f} s, +{grown:.0f} MiB"
        print(f"{self.name}: {done} cases in {took:.0f} s, {bad}", flush=True)
        return failed

    def _case(self, rng, folder, seeds):
        """What is wrong with one case; "" when nothing is."""
        signal.alarm(CASE_SECONDS)
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                self.module.case(rng, folder, seeds)
        except DreamkitError as error:
            text = str(error)
            text.encode()
            if len(text) > LONGEST_MESSAGE or not error.hint:
                return f"a message of {len(text)} letters, hint {error.hint[:40]!r}"
        except TooSlow:
            return f"over {CASE_SECONDS} s\n{traceback.format_exc(limit=-6)}"
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return "".join(traceback.format_exception(*sys.exc_info(), limit=-6))[-3000:]
        finally:
            signal.alarm(0)
        return ""


@contextlib.contextmanager
def refused():
    """A step of a case that may be refused; the case goes on with the next."""
    try:
        yield
    except DreamkitError as error:
        str(error).encode()
        assert len(str(error)) <= LONGEST_MESSAGE
        assert error.hint
