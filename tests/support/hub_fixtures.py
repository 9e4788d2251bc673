"""Fixtures: a local hub with made-up files, and the `dreamkit` command run against it."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stand_in_hub import Hub

from dreamkit.download import catalogue
from dreamkit.transfer import folders

REPO = Path(__file__).resolve().parents[2]
SINGLE, TOKENIZER, T5 = folders.SINGLE_VIEW, folders.TOKENIZER, folders.TEXT_ENCODER
BLOCK = 10 * 2**20  # what huggingface_hub writes at once; a download continues from the last whole block
LARGE = 24 * 2**20  # more than two blocks, so that half of it is one block and a part
CLIP = "2d23a1f4_100_200"


def made_up(name, size):
    return (hashlib.sha256(name.encode()).digest() * (size // 32 + 1))[:size]


def hub_files():
    files = {
        SINGLE: ["base_model.pt", "hdmap_control.pt", "lidar_control.pt", "config.json", "README.md"],
        TOKENIZER: ["encoder.jit", "decoder.jit", "autoencoder.jit", "mean_std.pt"],
        T5: ["config.json", "pytorch_model.bin", "tf_model.h5", "spiece.model", "tokenizer.json"],
        catalogue.RDS_HQ: [
            *(f"{folder}/{CLIP}.tar" for folder in catalogue.RDS_FOLDERS["hdmap"] if folder != "captions"),
            f"captions/{CLIP}.txt",
            f"lidar_raw/{CLIP}.tar",
            f"cosmos_synthetic/single_view/{CLIP}_0_Rainy.mp4",
        ],
    }
    return {name: {file: made_up(name + file, 40_000) for file in names} for name, names in files.items()}


@pytest.fixture
def hub():
    hub = Hub(hub_files(), datasets=[catalogue.RDS_HQ])
    yield hub
    hub.close()


@pytest.fixture
def dreamkit(hub, tmp_path):
    """Runs the command in an empty folder; returns code, stdout, stderr.

    `interrupt` is polled while the command runs; once it is true the command gets the signal of Ctrl-C.
    """

    def run(*args, interrupt=None, **env):
        clean = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        where = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(REPO)}
        command = [sys.executable, "-m", "dreamkit.cli", *args]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=clean | where | env
        )
        if interrupt is not None:
            while not interrupt():
                assert process.poll() is None
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120 if interrupt is None else 20)
        assert "Traceback" not in err, err
        return process.returncode, out, err

    return run
