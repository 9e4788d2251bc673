"""`python -m tests.fuzz.syscall_kills`: as `tests.fuzz.kills`, at every system call on a file of the workspace.

The system calls are those of Python and of the libraries that write videos, counted and killed by strace(1). Each kill
is of a forked process, so that nothing is imported again.
"""

import argparse
import collections
import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.kills import both_stages, faults
from tests.fuzz.stage import ended, forked, prepare

CALLS = (
    *("open", "openat", "openat2", "creat", "write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile"),
    *("copy_file_range", "fallocate", "truncate", "ftruncate", "fsync", "fdatasync", "flock", "fchmod", "chmod"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
    *("unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "close"),
)
LINE = re.compile(r"^(?P<process>\d+) +(?P<call>\w+)\((?P<rest>.*)", re.DOTALL)
ANY_TRACER, SET_TRACER = -1, 0x59616D61  # PR_SET_PTRACER of prctl(2)


def traced(work, log, trace, *options):
    """Exit code of a fork that does `work` under strace, whose counters begin with `work`."""
    begin, go = os.pipe()

    def waiting():
        ctypes.CDLL(None).prctl(SET_TRACER, ctypes.c_ulong(ANY_TRACER), 0, 0, 0)
        os.close(go)
        os.read(begin, 1)
        work()

    child = forked(waiting, log)
    os.close(begin)
    tracer = subprocess.Popen(["strace", "-f", "-y", "-qq", "-s", "0", "-o", trace, "-p", str(child), *options])
    until = time.monotonic() + 30
    while "TracerPid:\t0" in Path(f"/proc/{child}/status").read_text():
        if tracer.poll() is not None or time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            raise OSError("strace cannot attach to a process")
        time.sleep(0.002)
    os.write(go, b"x")
    code = ended(child)
    os.close(go)
    tracer.wait()
    return code


def kill_points(trace, root):
    """(system call, its number in its process) of every one that names, or has open, a file below `root`."""
    counts, points = collections.Counter(), []
    for line in trace.read_text(errors="replace").splitlines():
        match = LINE.match(line)
        if match is None or match["call"] not in CALLS:
            continue
        counts[match["process"], match["call"]] += 1
        if str(root) in match["rest"]:
            points.append((match["call"], counts[match["process"], match["call"]]))
    return points


def fresh(good, folder):
    """A copy of the prepared workspace, which becomes the current folder."""
    shutil.copytree(good, folder)
    os.chdir(folder)
    os.environ["DREAMKIT_CACHE"] = str(folder / "cache")


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.syscall_kills", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="every how many-th system call")
    every = parser.parse_args().every
    base = Path(tempfile.mkdtemp(prefix="kills-"))
    folder, trace, log = base / "case", base / "trace", base / "log"
    began, failed, killed = time.monotonic(), 0, collections.Counter()
    try:
        prepare(base / "good")
        fresh(base / "good", folder)
        code = traced(both_stages, log, trace, "-e", "trace=" + ",".join(f"?{call}" for call in CALLS))
        points = kill_points(trace, folder / "outputs")
        if code or not points:
            print(f"exit code {code}, {len(points)} system calls\n{log.read_text()[-1500:]}")
            return 1
        for call, number in points[::every]:
            os.chdir(base)
            shutil.rmtree(folder)
            fresh(base / "good", folder)
            kill = f"inject={call}:signal=SIGKILL:when={number}"
            code = traced(both_stages, log, trace, "-e", f"trace={call}", "-e", kill)
            killed[call] += code == -signal.SIGKILL
            log.unlink()
            code = ended(forked(both_stages, log))
            wrong = faults(folder / "outputs", log) + ([f"exit code {code}"] if code else [])
            if wrong:
                failed += 1
                print(f"killed at {call} number {number}: {'; '.join(wrong)}\n{log.read_text()[-1500:]}", flush=True)
    finally:
        os.chdir("/")
        with contextlib.suppress(OSError):
            shutil.rmtree(base)
    each = ", ".join(f"{count} {call}" for call, count in killed.most_common())
    print(f"{sum(killed.values())} of {len(points[::every])} kill points ({each})")
    print(f"{len(points)} in all, {failed} failed, {time.monotonic() - began:.0f} s")
    return int(failed > 0 or sum(killed.values()) < len(points[::every]))


if __name__ == "__main__":
    sys.exit(main())
