"""Files in a received folder that have a library's name are not run by the processes that dreamkit starts there."""

import json
import os
import subprocess
import sys

import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from rds_clips import CLIP, write_clip

from dreamkit.cli import lab
from dreamkit.notebook.shipped import REPOSITORY

PLANTED = ("av", "numpy", "multiprocessing", "pickle", "dreamkit", "jupyter", "ipykernel", "torch", "cv2")
pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no PYTHONSAFEPATH")


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A folder with such files; they leave a mark when they run."""
    for name in PLANTED:
        (tmp_path / f"{name}.py").write_text("open('ran', 'a').write(__name__ + ' ')\n")
    (tmp_path / "own_helper.py").write_text("VALUE = 7\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dreamkit(*arguments):
    """The command as it is installed, with what it printed."""
    code = "import sys; sys.argv[0] = 'dreamkit'; from dreamkit.cli import main; main()"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    command = [sys.executable, "-P", "-c", code, *map(str, arguments)]
    done = subprocess.run(
        command, env=environment | {"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def test_render(planted):
    folder = write_clip(planted / "rds", frames=4, model=None)
    options = ("--workers", "1", "--cameras", "front_wide_120fov", "--chunk-frames", "4")
    code, said = dreamkit("render", folder, "-o", "out", *options)
    assert code == 0, said
    assert not (planted / "ran").exists(), (planted / "ran").read_text()


@pytest.mark.slow  # a unit of a batch starts a process, and that a kernel
def test_batch(planted):
    (planted / "out" / "captions").mkdir(parents=True)
    (planted / "out" / "hdmap" / "ftheta_camera_front_wide_120fov").mkdir(parents=True)
    (planted / "out" / "hdmap" / "ftheta_camera_front_wide_120fov" / f"{CLIP}_0.mp4").write_bytes(b"")
    (planted / "out" / "captions" / f"{CLIP}.txt").write_text("A car drives along a wide street by day.")
    batch = {"name": "one", "workspace": "out", "stages": ["styles"], "styles": ["Night"], "retries": 0}
    (planted / "b.json").write_text(json.dumps(batch))
    dreamkit("batch", "b.json")
    assert list((planted / "out").glob("runs/one/**/*.log"))
    assert not (planted / "ran").exists(), (planted / "ran").read_text()


def test_kernels_of_lab_find_the_users_modules_after_the_libraries(planted):
    lab._write_kernel(planted / "kernel", planted, "")
    spec = KernelSpec.from_resource_dir(str(planted / "kernel" / "kernels" / "python3"))
    manager = KernelManager()
    manager._kernel_spec = spec
    manager.start_kernel(cwd=str(planted))
    try:
        client = manager.blocking_client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        said = []
        client.execute_interactive(
            "import av, own_helper; print(av.__file__, own_helper.VALUE)",
            timeout=60,
            output_hook=lambda message: said.append(str(message["content"])),
        )
        client.stop_channels()
    finally:
        manager.shutdown_kernel(now=True)
    assert "__init__.py 7" in "".join(said) and not (planted / "ran").exists()
