"""JupyterLab and headless Chromium for tests: start both, run a notebook, check the page."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import ElementNotInteractableException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

REPO = Path(__file__).resolve().parents[2]
TOKEN = "review-test"
IDLE = "document.querySelector('.jp-Notebook-ExecutionIndicator[data-status=idle]')"
DONE = f"{IDLE} && ![...document.querySelectorAll('.jp-InputPrompt')].some((node) => node.textContent.includes('*'))"
BOXES = (
    ".jp-OutputArea-output, .jp-OutputArea-output .widget-box, .jp-RenderedMarkdown, .cm-scroller, "
    ".jp-WindowedPanel-outer"
)
SPILT = (
    f"[...document.querySelectorAll('{BOXES}')].filter((node) => getComputedStyle(node).overflowX !== 'visible' && "
    "node.scrollWidth > node.clientWidth + 2).map((node) => node.textContent.slice(0, 80))"
)
# MIME types of error outputs in JupyterLab's versions.
ERRORS = (
    "[...document.querySelectorAll('.jp-RenderedText')].filter((node) => "
    "/(stderr|error)$/.test(node.dataset.mimeType)).map((node) => node.textContent)"
)
# Texts of outputs and explanations whose contrast with their background is below WCAG's 4.5 to 1.
FAINT = """
const numbers = (colour) => colour.match(/[0-9.]+/g).map(Number)
  .map((v, k) => k < 3 && colour.startsWith('color(srgb') ? 255 * v : v);
const linear = (v) => v <= 10 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
const light = (rgb) => rgb.slice(0, 3).reduce((sum, v, k) => sum + linear(v) * [0.2126, 0.7152, 0.0722][k], 0);
const over = (top, below) => top.slice(0, 3).map((v, k) => v * (top[3] ?? 1) + below[k] * (1 - (top[3] ?? 1)));
const behind = (node) => {
  const layers = [];
  for (; node; node = node.parentElement) layers.push(numbers(getComputedStyle(node).backgroundColor));
  return layers.reduceRight((below, top) => over(top, below), [255, 255, 255]);
};
const found = [];
for (const root of document.querySelectorAll('.jp-OutputArea-output, .jp-RenderedMarkdown')) {
  const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const [node, text] = [walk.currentNode.parentElement, walk.currentNode.textContent.trim()];
    const box = node.getBoundingClientRect();
    if (!text || !box.width || !box.height || node.closest('style, script, video')) continue;
    if (getComputedStyle(node).visibility === 'hidden') continue;
    const back = behind(node);
    const [a, b] = [light(over(numbers(getComputedStyle(node).color), back)), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(ratio.toFixed(1) + ' ' + text.slice(0, 60));
  }
}
return found;
"""
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,800",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def jupyter(root: Path, what: str = "lab") -> Iterator[str]:
    """A Jupyter server of one folder, `lab` or `notebook`; yields its URL."""
    port = free_port()
    paths = [str(REPO), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "JUPYTER_CONFIG_DIR": str(root / ".jupyter"),
        "JUPYTER_RUNTIME_DIR": str(root / ".runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(root / ".settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(root / ".workspaces"),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "jupyter", what, "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={root}"]
    with (root / "jupyter.log").open("w") as log:
        server = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}/api?token={TOKEN}")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(20)
        server.kill()


def wait_for(url: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    """Headless Chromium at 1280x800 with a fresh profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    page = webdriver.Chrome(options, service)
    # The viewport itself, without the window's frame.
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    )
    # JupyterLab finds the current notebook by the focus, which a headless page may lack.
    page.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
    try:
        yield page
    except BaseException:
        page.save_screenshot(str(profile.with_name("failed.png")))
        raise
    finally:
        page.quit()


def wait(page: webdriver.Chrome, condition: str, seconds: float = 60) -> None:
    """Until a JavaScript expression is true."""
    WebDriverWait(page, seconds, 0.1).until(lambda page: page.execute_script(f"return Boolean({condition})"), condition)


def run_all(page: webdriver.Chrome, url: str, name: str) -> None:
    """Open a notebook and run all its cells by the menu; returns when the kernel has the run before it."""
    page.get(f"{url}/lab/tree/notebooks/{name}.ipynb?token={TOKEN}&reset")
    wait(page, f"document.querySelector('.jp-Notebook .jp-Cell') && {IDLE}", 90)
    wait(page, "document.querySelector('#jp-main-statusbar').textContent.includes('| Idle')")
    menu(page, "Run", "Run All Cells")  # ignored until the kernel is idle


def menu(page: webdriver.Chrome, name: str, entry: str) -> None:
    """Click an entry of the menu bar."""
    click_shown(page, f"//li[contains(@class,'lm-MenuBar-item')][normalize-space()='{name}']")
    menu_entry(page, entry)


def menu_entry(page: webdriver.Chrome, entry: str) -> None:
    """Click an entry of the menu that is open."""
    click_shown(page, f"//li[contains(@class,'lm-Menu-item')]//div[starts-with(normalize-space(),'{entry}')]")


def click_shown(page: webdriver.Chrome, xpath: str) -> None:
    """Click the first element that has a size; while a page is laid out anew (theme, width) none may have one."""

    def clicked(page: webdriver.Chrome) -> bool:
        """Whether an element was there to be clicked."""
        shown = [one for one in page.find_elements(By.XPATH, xpath) if one.is_displayed()]
        if shown:
            shown[0].click()
        return bool(shown)

    gone = (ElementNotInteractableException, StaleElementReferenceException)
    WebDriverWait(page, 10, 0.1, ignored_exceptions=gone).until(clicked, xpath)


def set_theme(root: Path, name: str) -> None:
    """The theme that the page takes when it is loaded next."""
    folder = root / ".settings" / "@jupyterlab" / "apputils-extension"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "themes.jupyterlab-settings").write_text(f'{{"theme": "{name}"}}')
    news = folder / "notification.jupyterlab-settings"
    news.write_text('{"fetchNews": "false", "checkForUpdates": false}')


def show_every_cell(root: Path) -> None:
    """Keep cells that are out of sight in the page; else they are not there to be looked at."""
    folder = root / ".settings" / "@jupyterlab" / "notebook-extension"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')


def assert_readable(page: webdriver.Chrome) -> None:
    """Nothing is wider than its place, and no text is fainter than it may be."""
    assert page.execute_script(f"return {SPILT}") == []
    assert page.execute_script(FAINT) == []


def shot(page: webdriver.Chrome, name: str) -> None:
    """A picture of the whole notebook in the folder DREAMKIT_SCREENSHOTS, where that is set."""
    if not (folder := os.environ.get("DREAMKIT_SCREENSHOTS")):
        return
    page.execute_script("document.querySelector('.jp-Notebook .jp-WindowedPanel-outer').scrollTop = 0")
    tall = page.execute_script("return document.querySelector('.jp-Notebook .jp-WindowedPanel-inner').scrollHeight")
    for height in (tall + 160, 800):
        metrics = {"width": 1280, "height": height, "deviceScaleFactor": 1, "mobile": False}
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        if height > 800:
            time.sleep(0.5)
            page.save_screenshot(str(Path(folder) / f"{name}.png"))


def switch_theme(page: webdriver.Chrome, name: str) -> None:
    """By the menu, in the page as it stands."""
    menu(page, "Settings", "Theme")
    menu_entry(page, name)
    wait(page, f"document.body.dataset.jpThemeName === '{name}'")
