"""Notebooks 02 and 03 in JupyterLab in headless Chromium: run by the menu, edited by keys, saved by the button.

Set DREAMKIT_SCREENSHOTS to a folder to keep the pictures that the tests take.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from lab import (
    DONE,
    ERRORS,
    REPO,
    assert_readable,
    chromium,
    jupyter,
    menu,
    run_all,
    set_theme,
    show_every_cell,
    switch_theme,
    wait,
)
from selenium.webdriver.common.by import By

from dreamkit.captions import files as caption_files
from dreamkit.setup.sample_clip import CURVE, write_condition_clip
from dreamkit.workspace.workspace import Workspace

THEMES = ("JupyterLab Light", "JupyterLab Dark")
EDITOR = ".jp-OutputArea-output .widget-textarea textarea"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A folder with a clip, a server of it and a page."""
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    root = tmp_path_factory.mktemp("pages")
    write_condition_clip(root / "outputs", frames=3, height=88, width=160)
    (root / "notebooks").mkdir()
    for name in ("02_captions", "03_styles"):
        shutil.copy(REPO / "notebooks" / f"{name}.ipynb", root / "notebooks")
    set_theme(root, THEMES[0])
    show_every_cell(root)
    with jupyter(root) as url, chromium(root / "profile") as page:
        yield root, url, page


def run(lab, name: str):
    """Open a notebook and run it by the menu; then it shows no error and can be read in both themes."""
    root, url, page = lab
    run_all(page, url, name)
    wait(page, f"document.querySelector('{EDITOR}')", 90)
    wait(page, DONE, 90)
    assert page.execute_script(f"return {ERRORS}") == []
    for theme in reversed(THEMES):  # the light one last, in which the tests go on
        switch_theme(page, theme)
        assert_readable(page)
        page.execute_script(f"document.querySelector('{EDITOR}').scrollIntoView({{block: 'center'}})")
        if folder := os.environ.get("DREAMKIT_SCREENSHOTS"):
            page.save_screenshot(str(Path(folder) / f"{name}_{theme.split()[-1].lower()}.png"))
    return page, Workspace(root / "outputs")


def test_a_caption_is_typed_checked_and_saved(lab):
    page, ws = run(lab, "02_captions")
    wait(page, "document.querySelector('.dk-editor video')?.currentTime > 0", 20)  # the condition moves
    before = caption_files.read_captions(ws.captions, CURVE)["Original"]
    text = page.find_element(By.CSS_SELECTOR, EDITOR)
    text.send_keys(" It is a dark night.")
    wait(page, "document.body.textContent.includes('It speaks of')", 20)
    text.send_keys("\b" * len(" It is a dark night.") + " A bus waits.")
    wait(page, "document.body.textContent.includes('Nothing is wrong with it')", 20)
    page.find_element(By.XPATH, "//button[contains(., 'Save')]").click()
    wait(page, f"document.body.textContent.includes('saved {CURVE}.txt')", 20)
    assert caption_files.read_captions(ws.captions, CURVE)["Original"] == f"{before} A bus waits."
    caption_files.write_original(ws.captions, CURVE, before)
    menu(page, "Kernel", "Restart Kernel")
    wait(page, "document.querySelector('.jp-Dialog .jp-mod-accept')")
    page.find_element(By.CSS_SELECTOR, ".jp-Dialog .jp-mod-accept").click()
    for box in (".dk-form", ".dk-editor"):
        wait(page, f"getComputedStyle(document.querySelector('{box}'), '::before').content.includes('restarted')", 30)


def test_eight_styles_stand_side_by_side(lab):
    page, ws = run(lab, "03_styles")
    assert list(caption_files.read_captions(ws.captions, CURVE)) == list(caption_files.STYLES)
    assert page.execute_script("return document.querySelectorAll('.jp-OutputArea-output ins').length") > 7
    tops = page.execute_script(
        "return [...document.querySelectorAll('.jp-OutputArea-output div[style*=border-radius]')].slice(0, 8)"
        ".map((node) => Math.round(node.getBoundingClientRect().top))"
    )
    assert len(tops) == 8
    assert len(set(tops)) < 8
    (ws.captions / f"{CURVE}.json").unlink()
