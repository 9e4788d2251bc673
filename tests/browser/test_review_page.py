"""Notebook 06 in JupyterLab in headless Chromium: play, step, overlay, compare, reject; the verdict outlasts a restart.

Set DREAMKIT_SCREENSHOTS to a folder to keep the pictures that the test takes.
"""

from __future__ import annotations

import base64
import os
import shutil
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from lab import REPO, TOKEN, chromium, jupyter, menu, set_theme, wait
from review_workspace import make
from review_world import read_number
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from dreamkit.review import verdicts

SUNNY = "multi_view/drawn_0_Sunny"
PLAYER = "document.querySelector('.dk-player')"
FINISHED = (
    "[...document.querySelectorAll('.jp-OutputArea-output')].some((node) => node.textContent.includes('report.html'))"
)
CANVASES = (
    "[...document.querySelectorAll('.dk-cell:not([hidden]) canvas')].map((canvas) => canvas.toDataURL('image/png'))"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    root = tmp_path_factory.mktemp("lab")
    make(root / "outputs", clips=1)
    (root / "notebooks").mkdir()
    shutil.copy(REPO / "notebooks" / "06_review.ipynb", root / "notebooks")
    return root


def pictures(page) -> list[np.ndarray]:
    """What the visible canvases show, RGB, all read in one task of the page."""
    found = []
    for url in page.execute_script(f"return {CANVASES}"):
        data = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
        found.append(cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))
    return found


def numbers(page) -> list[int]:
    return [read_number(picture) for picture in pictures(page)]


def at_frame(page, frame: int) -> None:
    wait(page, f"{PLAYER}.dataset.frame === '{frame}' && !('loading' in {PLAYER}.dataset)", 30)


def press(page, *keys: str) -> None:
    """Real key presses, into the player."""
    page.execute_script(f"{PLAYER}.focus({{preventScroll: true}})")
    ActionChains(page).send_keys(*keys).perform()


def slide(page, selector: str, value: float) -> None:
    page.execute_script(
        "const input = document.querySelector(arguments[0]); input.value = arguments[1];"
        "input.dispatchEvent(new Event('input'))",
        selector,
        value,
    )


def shot(page, root: Path, name: str, selector: str = ".dk-player") -> None:
    """A picture of the page as the user sees it; nothing of ours may be wider than its place."""
    page.execute_script(f"document.querySelector('{selector}').scrollIntoView()")
    time.sleep(0.3)
    folder = Path(os.environ.get("DREAMKIT_SCREENSHOTS", root))
    page.save_screenshot(str(folder / f"{name}.png"))
    assert page.execute_script(
        "return [...document.querySelectorAll('.dk-review')].every((node) => node.scrollWidth <= node.clientWidth + 1"
        " && node.getBoundingClientRect().right <= innerWidth)"
    )


def open_and_run(page, url: str) -> None:
    page.get(f"{url}/lab/tree/notebooks/06_review.ipynb?token={TOKEN}")
    wait(page, "document.querySelector('.jp-Notebook .jp-Cell')")
    wait(page, "document.querySelector('#jp-main-statusbar').textContent.includes('| Idle')")
    menu(page, "Run", "Run All Cells")  # ignored until the kernel is idle
    wait(page, "document.querySelectorAll('.dk-item img').length === 3", 60)
    wait(page, FINISHED, 180)


def open_video(page, key: str) -> None:
    page.execute_script("document.querySelector('.dk-board').scrollIntoView()")
    page.find_element(By.CSS_SELECTOR, f'.dk-item[data-key="{key}"]').click()
    at_frame(page, 0)
    wait(page, "document.querySelectorAll('.dk-cell canvas').length === 6")


def test_review_in_jupyterlab(root):
    set_theme(root, "JupyterLab Light")
    with jupyter(root) as url, chromium(root / "profile") as page:
        open_and_run(page, url)
        wait(page, "document.querySelector('.dk-progress').textContent.includes('3 videos are measured')", 120)
        wait(page, "document.querySelectorAll('.jp-OutputArea-output svg').length >= 2")  # the plots
        shot(page, root, "board_light", ".dk-board")
        cells = page.execute_script("return document.querySelectorAll('.jp-Cell').length")
        open_video(page, SUNNY)

        press(page, *[Keys.ARROW_RIGHT] * 10)
        at_frame(page, 10)
        assert numbers(page) == [10] * 6
        shot(page, root, "player_light")
        press(page, Keys.ARROW_LEFT)
        at_frame(page, 9)
        assert numbers(page) == [9] * 6
        slide(page, ".dk-scrub", 17)
        at_frame(page, 17)
        assert numbers(page) == [17] * 6

        press(page, Keys.SPACE)
        seen = []
        for _ in range(12):
            seen.append(numbers(page))
            time.sleep(0.05)
        press(page, Keys.SPACE)
        assert all(len(set(views)) == 1 for views in seen)
        assert len({views[0] for views in seen}) > 2
        press(page, Keys.HOME)
        at_frame(page, 0)
        page.execute_script("document.querySelector('.dk-open').focus()")  # keys on the board are the player's too
        ActionChains(page).send_keys(Keys.ARROW_RIGHT).perform()
        at_frame(page, 1)
        press(page, Keys.HOME)
        at_frame(page, 0)

        result = pictures(page)
        press(page, "o")
        wait(page, f"!('loading' in {PLAYER}.dataset) && !document.querySelector('.dk-mix').disabled")
        slide(page, ".dk-mix", 0)
        time.sleep(0.3)
        assert all(np.array_equal(a, b) for a, b in zip(pictures(page), result, strict=True))
        slide(page, ".dk-mix", 1)
        time.sleep(0.3)
        # Laid over it, the condition adds its lines and takes no light away (JPEG: within 4 grey levels).
        for picture, was in zip(pictures(page), result, strict=True):
            brighter = picture.astype(int) - was
            assert brighter.min() >= -4 and brighter.max() > 40 and abs(np.median(brighter)) < 8
        slide(page, ".dk-mix", 0.5)
        time.sleep(0.3)
        shot(page, root, "overlay_light")
        press(page, "w")
        slide(page, ".dk-mix", 1)
        time.sleep(0.3)
        condition = pictures(page)  # wiped over the whole width
        assert all(np.median(picture) < 8 < np.median(was) for picture, was in zip(condition, result, strict=True))
        slide(page, ".dk-mix", 0.5)
        time.sleep(0.3)
        for picture, was, lines in zip(pictures(page), result, condition, strict=True):
            middle = picture.shape[1] // 2
            assert np.array_equal(picture[:, : middle - 2], was[:, : middle - 2])
            assert np.array_equal(picture[:, middle + 2 :], lines[:, middle + 2 :])
        shot(page, root, "wipe_light")
        press(page, "w", "o", "b")
        wait(page, f"document.querySelectorAll('.dk-cell').length === 12 && !('loading' in {PLAYER}.dataset)")
        shot(page, root, "beside_light")
        press(page, "b")

        slide(page, ".dk-scrub", 5)
        at_frame(page, 5)
        # The keys follow the grid, and each tile has its key: 2 is the front camera, in the middle of the upper row.
        keys = page.execute_script(
            "return [...document.querySelectorAll('.dk-cell')].map((cell) => [cell.dataset.camera,"
            " cell.querySelector('kbd').textContent])"
        )
        assert dict(keys)["cross_left_120fov"] == "1" and dict(keys)["front_wide_120fov"] == "2"
        press(page, "2")
        assert (
            page.execute_script("return document.querySelector('.dk-cell:not([hidden])').dataset.camera") == keys[0][0]
        )
        wait(
            page,
            f"document.querySelectorAll('.dk-cell:not([hidden])').length === 1 && !('loading' in {PLAYER}.dataset)",
        )
        press(page, Keys.ARROW_RIGHT)
        at_frame(page, 6)
        assert numbers(page) == [6]
        shot(page, root, "zoom_light")
        press(page, "0", Keys.HOME)
        at_frame(page, 0)

        Select(page.find_element(By.CSS_SELECTOR, ".dk-compare")).select_by_value("multi_view/drawn_0_Night")
        wait(page, f"document.querySelectorAll('.dk-cell').length === 12 && !('loading' in {PLAYER}.dataset)")
        press(page, *[Keys.ARROW_RIGHT] * 2)
        at_frame(page, 2)
        assert numbers(page) == [2] * 12
        shot(page, root, "compare_light")
        names = page.execute_script(
            "return [...document.querySelectorAll('.dk-style')].map((node) => node.textContent)"
        )
        assert names == ["Sunny · multi view", "Night · multi view"]
        Select(page.find_element(By.CSS_SELECTOR, ".dk-compare")).select_by_value("")
        wait(page, "document.querySelectorAll('.dk-cell').length === 6")

        links = page.execute_script("return [...document.querySelectorAll('.dk-cell a')].map((link) => link.href)")
        status = (
            "const done = arguments[1]; fetch(arguments[0], {method: 'HEAD'}).then((answer) => done(answer.status))"
        )
        assert len(links) == 6 and page.execute_async_script(status, links[3]) == 200

        press(page, "r")
        wait(page, "document.querySelector('.dk-message').textContent.includes('reason')")
        ActionChains(page).key_down(Keys.SHIFT).send_keys("4").key_up(Keys.SHIFT).perform()
        chosen = "document.querySelector('.dk-reason[aria-pressed=true]')?.dataset.reason === 'flicker'"
        wait(page, f"{chosen} && !document.querySelector('.dk-message').textContent")
        press(page, "e", "left pole", Keys.ENTER, "r")
        wait(page, f"document.querySelector('.dk-open').dataset.key !== '{SUNNY}'")  # the next without a verdict
        press(page, "z")  # back, with reason and note
        wait(page, f"document.querySelector('.dk-open').dataset.key === '{SUNNY}' && {chosen}")
        assert page.execute_script("return document.querySelector('.dk-note').value") == "left pole"
        page.find_element(By.CSS_SELECTOR, ".dk-next").click()
        press(page, "r")
        wait(page, f"{PLAYER}.dataset.state === 'reject'")
        held = verdicts.read_verdicts(root / "outputs" / "review" / "verdicts.jsonl").current()[SUNNY]
        assert (held.state, held.reasons, held.note) == ("reject", ("flicker",), "left pole")
        shot(page, root, "rejected_light")
        # None of the keys reached the notebook, where `a` inserts a cell and `z` undoes.
        assert page.execute_script("return document.querySelectorAll('.jp-Cell').length") == cells

        page.execute_script("document.querySelectorAll('.dk-review').forEach((node) => node.classList.add('before'))")
        menu(page, "Kernel", "Restart Kernel and Run All Cells")
        wait(page, "document.querySelector('.jp-Dialog .jp-mod-accept')")
        page.find_element(By.CSS_SELECTOR, ".jp-Dialog .jp-mod-accept").click()
        again = f'.dk-board:not(.before) .dk-item[data-key="{SUNNY}"][data-state="reject"]'
        wait(page, f"document.querySelector('{again}')", 60)
        wait(page, FINISHED, 60)
        open_video(page, SUNNY)
        wait(page, f"{PLAYER}.dataset.state === 'reject'")
        assert "left pole" in page.find_element(By.CSS_SELECTOR, ".dk-standing").text

        set_theme(root, "JupyterLab Dark")
        menu(page, "File", "Save Notebook")
        time.sleep(1)
        open_and_run(page, url)
        shot(page, root, "board_dark", ".dk-board")
        open_video(page, SUNNY)
        press(page, "o")
        shot(page, root, "player_dark")
        assert page.execute_script("return document.body.dataset.jpThemeLight") == "false"
        menu(page, "Kernel", "Restart Kernel")
        wait(page, "document.querySelector('.jp-Dialog .jp-mod-accept')")
        page.find_element(By.CSS_SELECTOR, ".jp-Dialog .jp-mod-accept").click()
        wait(page, "document.querySelectorAll('.dk-board > .dk-restarted, .dk-player > .dk-restarted').length === 2")
        errors = [entry for entry in page.get_log("browser") if ".js" in entry["source"] and "dk-" in entry["message"]]
        assert errors == []
