"""`python -m tests.fuzz.disk_full`: 04 and 05 on disks of several sizes that are too small; what stands there then.

It needs Linux's user namespaces: each size is a tmpfs that only this process sees.
"""

import ctypes
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.fuzz.stage import ended, forked, prepare, run_stage

SIZES = tuple(range(0, 52, 4))  # KiB more than the inputs have
NEW_NAMESPACES = 0x10000000 | 0x00020000  # CLONE_NEWUSER | CLONE_NEWNS


def enter_namespace():
    """A user and mount namespace of this process.

    Raises:
        OSError: the system does not allow it.
    """
    user, group = os.getuid(), os.getgid()
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(NEW_NAMESPACES):
        raise OSError(ctypes.get_errno(), "no user namespaces")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    if library.mount(b"none", b"/", None, 0x44000, None):  # private, recursive
        raise OSError(ctypes.get_errno(), "mounts cannot be made private")


def on_small_disk(base, kib):
    """Both stages in a workspace on a tmpfs; prints what the user reads, and what is wrong with the files."""
    from dreamkit.errors import DreamkitError
    from dreamkit.workspace import video
    from dreamkit.workspace.workspace import Workspace

    inputs = base / "outputs.good"
    used = sum(-(-path.stat().st_size // 4096) * 4 + 1 for path in inputs.rglob("*"))
    target = base / "outputs"
    target.mkdir()
    library = ctypes.CDLL(None, use_errno=True)
    if library.mount(b"tmpfs", str(target).encode(), b"tmpfs", 0, f"size={used + kib}k".encode()):
        raise OSError(ctypes.get_errno(), "no tmpfs")
    shutil.copytree(inputs, target, dirs_exist_ok=True)
    os.chdir(base)
    for stage in ("single_view", "multi_view"):
        try:
            run_stage(stage)
            print(f"RESULT {kib} KiB, {stage}: made")
        except DreamkitError as error:
            print(f"RESULT {kib} KiB, {stage}: {error.message.splitlines()[0]}")
    for path in Workspace("outputs").root.rglob("*"):
        if path.suffix == ".mp4" and "hdmap" not in str(path):
            video.read_video(path)
        if ".partial-" in path.name:
            raise AssertionError(f"left {path}")


def main():
    base = Path(tempfile.mkdtemp(prefix="disk-"))
    failed = 0
    try:
        prepare(base)
        (base / "outputs").rename(base / "outputs.good")
        for kib in SIZES:

            def work(kib=kib):
                enter_namespace()
                on_small_disk(base, kib)

            log = base / f"log{kib}"
            code = ended(forked(work, log))
            text = log.read_text()
            print("".join(line + "\n" for line in text.splitlines() if line.startswith("RESULT")), end="")
            if code or "Traceback" in text:
                failed += 1
                print(text[-2500:])
            (base / "outputs").rmdir()
    finally:
        os.chdir("/")
        shutil.rmtree(base, ignore_errors=True)
    print(f"{len(SIZES)} sizes, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
