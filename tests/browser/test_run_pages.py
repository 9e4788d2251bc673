"""Notebooks 00, 01, 04 and 05 in JupyterLab in headless Chromium: run by the menu, checked in the light and dark theme.

Set DREAMKIT_SCREENSHOTS to a folder to keep the pictures that the tests take.
"""

from __future__ import annotations

import contextlib
import os
import shutil

import pytest
from lab import (
    DONE,
    ERRORS,
    REPO,
    assert_readable,
    chromium,
    jupyter,
    run_all,
    set_theme,
    shot,
    show_every_cell,
    switch_theme,
    wait,
)
from stand_in_hub import Hub

from dreamkit.captions import files as caption_files
from dreamkit.download import catalogue
from dreamkit.setup.sample_clip import CURVE, write_condition_clip
from dreamkit.transfer import folders
from dreamkit.workspace.workspace import Chunk, Workspace

LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"
# What a user would set in the parameters cell.
CHANGES = {
    "00_setup": {},
    "01_download": {"models": ["single_view"]},
    "04_single_view": {"checkpoints": "tiny", "styles": ["Night"], "num_steps": 1, "guidance": 0.0},
    "05_multi_view": {"checkpoints": "tiny", "styles": ["Rainy"], "num_steps": 1, "guidance": 0.0},
}


def put_notebook(name: str, to) -> None:
    """A copy with other values in its parameters cell."""
    text = (REPO / "notebooks" / f"{name}.ipynb").read_text()
    for key, value in CHANGES[name].items():
        line = next(line for line in text.splitlines() if line.strip().startswith(f'"{key} = '))
        written = repr(value).replace("'", '\\"')
        text = text.replace(line, line[: line.index(" = ")] + f" = {written}" + '\\n",')
    (to / f"{name}.ipynb").write_text(text)


def hub_files() -> dict[str, dict[str, bytes]]:
    """The repositories of both stages, their files of a few bytes."""
    wanted = catalogue.repositories(["single_view", "multi_view"], ["hdmap", "lidar"], True)
    return {one.name: {file: f"{one.name}/{file}".encode() for file in one.needed} for one in wanted}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A folder with a clip, a hub, a server of the folder and a page."""
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    root = tmp_path_factory.mktemp("runs")
    ws = Workspace(root / "outputs")
    front, *_ = write_condition_clip(ws.root, frames=9, height=176, width=320)
    captions = {"Night": "A road at night.", "Rainy": "A road in the rain."}
    caption_files.write_style_captions(ws.captions, CURVE, captions)
    own = ws.single_view(Chunk(CURVE), "Rainy")
    own.parent.mkdir(parents=True)
    shutil.copy(front, own)
    (root / "notebooks").mkdir()
    for name in CHANGES:
        put_notebook(name, root / "notebooks")
    set_theme(root, LIGHT)
    show_every_cell(root)
    with contextlib.ExitStack() as stack:
        hub = Hub(hub_files())
        stack.callback(hub.close)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name in [name for name in os.environ if name.startswith("HF_")]:
            patch.delenv(name)
        patch.setenv("HF_ENDPOINT", hub.url)
        patch.setenv("HF_HOME", str(root / "home"))
        url = stack.enter_context(jupyter(root))
        page = stack.enter_context(chromium(root / "profile"))
        yield root, url, page, hub


def look(lab, name: str) -> None:
    """The notebook has run: no error, and it can be read in both themes."""
    _, _, page, _ = lab
    wait(page, DONE, 120)
    assert page.execute_script(f"return {ERRORS}") == []
    for theme in (LIGHT, DARK):
        switch_theme(page, theme)
        assert_readable(page)
        shot(page, f"{name}_{theme.split()[-1].lower()}")
    switch_theme(page, LIGHT)


def outputs(page) -> str:
    return page.execute_script(
        "return [...document.querySelectorAll('.jp-OutputArea-output')].map((node) => node.textContent).join('\\n')"
    )


def test_setup_tells_what_the_machine_can_do_and_makes_a_video(lab):
    _, url, page, _ = lab
    run_all(page, url, "00_setup")
    wait(page, "document.querySelector('.dk-player')?.dataset.frame > 1", 120)  # it plays by itself
    look(lab, "00_setup")
    text = outputs(page)
    assert "tiny bundle · 微型模型" in text
    assert "可用" in text


def test_download_looks_then_fetches_what_single_view_needs(lab):
    root, url, page, _ = lab
    run_all(page, url, "01_download")
    wait(page, "document.body.textContent.includes('files fetched and checked')", 120)
    look(lab, "01_download")
    for name in (folders.SINGLE_VIEW, folders.TOKENIZER, folders.TEXT_ENCODER):
        assert page.execute_script(f"return document.querySelector('a[href$=\"{name}\"]').target") == "_blank"
    assert (root / "checkpoints" / folders.SINGLE_VIEW / "base_model.pt").is_file()


@pytest.mark.parametrize(("name", "views"), [("04_single_view", 1), ("05_multi_view", 6)])
def test_a_still_is_seen_while_it_runs_and_the_video_after(lab, name, views):
    root, url, page, _ = lab
    run_all(page, url, name)
    wait(page, "document.querySelector('.jp-OutputArea-output figure img')?.naturalWidth > 0", 120)
    assert not page.execute_script(f"return {DONE}")
    wait(page, "document.querySelector('.dk-player')?.dataset.frame > 1", 120)  # it plays by itself
    assert page.execute_script("return document.querySelectorAll('.dk-cell.dk-condition').length") == views
    look(lab, name)
    text = page.execute_script("return document.querySelector('.dk-player').textContent")
    assert "seed " in text and ("A road at night." in text or "A road in the rain." in text)
    assert "after step 2 of 2" in outputs(page)
    made = "single_view/tiny_curve_Night.mp4" if views == 1 else "multi_view/tiny_curve_Rainy/grid.mp4"
    assert made in outputs(page)
    assert (root / "outputs" / made).is_file()
