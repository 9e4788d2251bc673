"""Shared paths and options of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["hub_fixtures", "lidar_clips", "guardrail_fixtures"]

REPO = Path(__file__).resolve().parents[1]
# Real input lies beside a developer's checkout and never in it; tests that need it skip without it.
REAL_DATA = REPO.parent / "shared" / "data"


def pytest_addoption(parser):
    parser.addoption("--golden", default=str(REPO / "tests" / "golden"), help="folder of reference vectors")


def pytest_collection_modifyitems(items):
    """Markers that follow from where a test stands and from what it takes."""
    for item in items:
        folder = item.path.parent.name
        if folder in ("browser", "gpu"):
            item.add_marker(getattr(pytest.mark, folder))
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real_data)
        if "recipe" in getattr(item, "fixturenames", ()):  # trains a bundle of micro size first
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def real_data() -> Path:
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real data at {REAL_DATA}")
    return REAL_DATA


@pytest.fixture(scope="module")
def one_thread():
    """Small tensors are sooner done by one thread, and far sooner where others keep the cores busy."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def micro_checkpoints(tmp_path_factory):
    """A random bundle of the micro size, trusted by a cache folder of its own."""
    import micro

    from dreamkit.tinyworld.train.bundle import write_random_bundle

    folder = tmp_path_factory.mktemp("micro")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DREAMKIT_CACHE", str(folder / "cache"))
        yield write_random_bundle(folder / "checkpoints", single=micro.SINGLE, multi=micro.MULTI)
