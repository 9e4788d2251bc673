"""A newcomer's walk in headless Chromium: demo, lab, a changed prompt, 04 with one style, 05, 06 by keyboard, report.

No cell is edited by hand. It is walked in the clone's code and from an installed wheel, in a folder outside both. Set
DREAMKIT_SCREENSHOTS to a folder to keep the pictures, at 1280x800 and 1920x1080, in the light and dark theme.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest
from lab import DONE, ERRORS, IDLE, REPO, TOKEN, chromium, free_port, menu, set_theme, show_every_cell, wait, wait_for
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from dreamkit.setup.sample_clip import CURVE, write_condition_clip
from dreamkit.workspace.files import sha256
from dreamkit.workspace.workspace import Chunk, Workspace

SIZES = {"1280": (1280, 800), "1920": (1920, 1080)}
THEMES = ("JupyterLab Light", "JupyterLab Dark")
TRACEBACK = f"{ERRORS}.filter((text) => !text.includes('it/s') && !text.includes('step'))"
STEPS = 2  # fewer than the demo's, which take long here
PLAYER = "document.querySelector('.dk-player')"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The folder of packages of an installation from the wheel, without its dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    left_out = shutil.ignore_patterns(".git", "build", "*.egg-info", ".venv*", ".ci-venv*", "outputs", "tests")
    shutil.copytree(REPO, source, ignore=left_out)
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "-w", str(folder), str(source)], check=True)
    install = [*pip, "install", "-q", "--no-deps", "--ignore-installed", "--prefix", str(folder / "env")]
    subprocess.run([*install, *map(str, folder.glob("*.whl"))], check=True)
    shutil.rmtree(source)
    return Path(sysconfig.get_path("purelib", vars={"base": str(folder / "env")}))


@pytest.fixture(params=["clone", "wheel"])
def packages(request) -> Path:
    """The folder that the package is imported from."""
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    return REPO if request.param == "clone" else request.getfixturevalue("wheel")


@contextlib.contextmanager
def walking(root: Path, packages: Path, params: str):
    """`dreamkit lab` in a folder, and a page; yields the page and the server's URL."""
    port = free_port()
    environment = environment_of(packages) | {
        "JUPYTER_CONFIG_DIR": str(root / ".jupyter"),
        "JUPYTER_RUNTIME_DIR": str(root / ".runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(root / ".settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(root / ".workspaces"),
    }
    options = ["--no-browser", "--allow-root", f"--ServerApp.port={port}", f"--IdentityProvider.token={TOKEN}"]
    command = [sys.executable, "-m", "dreamkit.cli", "lab", "--params", params, "--", *options]
    with (root / "lab.log").open("w") as log:
        server = subprocess.Popen(command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/api?token={TOKEN}")
        with chromium(root / "profile") as page:
            yield page, url
    finally:
        server.terminate()
        server.wait(30)


def environment_of(packages: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(packages), "OMP_NUM_THREADS": "1"}


def open_notebook(page, url: str, name: str) -> None:
    page.get(f"{url}/lab/tree/my_notebooks/{name}.ipynb?token={TOKEN}&reset")
    wait(page, f"document.querySelector('.jp-Notebook .jp-Cell') && {IDLE}", 90)
    wait(page, "document.querySelector('#jp-main-statusbar').textContent.includes('| Idle')")


def finished(page, seconds: float = 180) -> None:
    wait(page, DONE, seconds)
    assert page.execute_script(f"return {TRACEBACK}") == []


def pictures(page, name: str, selector: str, where: str) -> None:
    """The page with an element in sight, in each size and theme; nothing of it may be wider than its place."""
    folder = os.environ.get("DREAMKIT_SCREENSHOTS")
    for theme in THEMES:
        change_theme(page, theme)
        for size, (width, height) in SIZES.items():
            metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            page.execute_script(f"document.querySelector('{selector}').scrollIntoView()")
            time.sleep(0.5 if folder else 0.1)
            assert page.execute_script(
                f"return [...document.querySelectorAll('{selector}')].every((node) => node.scrollWidth <="
                " node.clientWidth + 2 && node.getBoundingClientRect().right <= innerWidth)"
            )
            if folder:
                page.save_screenshot(f"{folder}/walk_{where}_{name}_{theme.split()[-1].lower()}_{size}.png")
    change_theme(page, THEMES[0])


def change_theme(page, theme: str) -> None:
    page.execute_script(
        "return window.jupyterapp.commands.execute('apputils:change-theme', {theme: arguments[0]})", theme
    )
    wait(page, f"document.body.dataset.jpThemeName === '{theme}'")


def field(page, name: str):
    return page.find_element(By.XPATH, f"//*[contains(@class,'dk-form')]//code[.='{name}']/ancestor::*[3]//input")


def choose_style_and_run(page, url: str, name: str, style: str, where: str) -> None:
    """As a newcomer does: run the first cells, type the style into the form, run the rest."""
    open_notebook(page, url, name)
    page.execute_script(
        "const book = window.jupyterapp.shell.currentWidget.content; book.activeCellIndex = 2;"
        "window.jupyterapp.commands.execute('notebook:run-all-above')"
    )
    page.execute_script("window.jupyterapp.commands.execute('notebook:run-cell-and-select-next')")
    wait(page, "document.querySelectorAll('.dk-form input').length > 3", 60)
    assert field(page, "workspace").get_attribute("value") == "outputs/demo"
    field(page, "num_steps").send_keys("000")
    wait(page, "document.querySelector('.dk-fault')?.textContent.includes('less than or equal to 1000')", 20)
    field(page, "num_steps").send_keys("\b" * 5 + str(STEPS))
    field(page, "styles").send_keys(style)
    cell = "window.jupyterapp.shell.currentWidget.content.widgets[1].model.sharedModel.getSource()"
    written = f"{cell}.includes('styles = [\"{style}\"]') && {cell}.includes('num_steps = {STEPS}')"
    wait(page, f"{written} && !document.querySelector('.dk-fault')", 30)
    page.find_element(By.XPATH, "//button[contains(., 'Copy as command')]").click()
    wait(page, f"document.querySelector('.dk-form pre')?.textContent.includes('styles=[{style}]')", 20)
    if name == "04_single_view":
        pictures(page, "form", ".dk-form", where)
    menu(page, "Run", "Run Selected Cell and All Below")
    time.sleep(1)
    wait(page, PLAYER, 240)
    finished(page)
    pictures(page, name, ".dk-player", where)


def change_prompt(page, url: str) -> None:
    """A sentence more in the style Night, in the editor of notebook 03."""
    open_notebook(page, url, "03_styles")
    menu(page, "Run", "Run All Cells")
    wait(page, "document.querySelector('.jp-OutputArea-output .widget-textarea textarea')", 90)
    finished(page)
    lists = page.find_elements(By.CSS_SELECTOR, ".jp-OutputArea-output .widget-select select")
    Select(lists[-1]).select_by_visible_text(f"Night · {CURVE}")
    box = page.find_elements(By.CSS_SELECTOR, ".jp-OutputArea-output .widget-textarea textarea")[-1]
    wait(page, "[...document.querySelectorAll('.widget-textarea textarea')].pop().value.includes('night')", 20)
    box.send_keys(" A bus waits at the kerb.")
    wait(page, "document.querySelector('.dk-editor').textContent.includes('kerb.')", 30)  # the kernel has it
    page.find_elements(By.XPATH, "//button[contains(., 'Save')]")[-1].click()
    wait(page, "document.body.textContent.includes('saved Night in')", 20)


def judge(page, url: str, where: str, report: Path) -> None:
    """Notebook 06: the first video is accepted by the keyboard, the report written."""
    open_notebook(page, url, "06_review")
    menu(page, "Run", "Run All Cells")
    wait(page, "document.querySelectorAll('.dk-item img').length >= 4", 90)
    finished(page)
    page.find_element(By.CSS_SELECTOR, '.dk-item[data-key="multi_view/tiny_curve_Night"]').click()
    wait(page, f"{PLAYER}?.dataset.frame >= 0 && !('loading' in {PLAYER}.dataset)", 60)
    page.execute_script(f"{PLAYER}.focus({{preventScroll: true}})")
    pictures(page, "06_review", ".dk-player", where)
    page.execute_script(f"{PLAYER}.focus({{preventScroll: true}})")
    ActionChains(page).send_keys("a").perform()
    wait(page, "document.querySelector('.dk-item[data-key=\"multi_view/tiny_curve_Night\"][data-state=accept]')", 30)
    page.execute_script(  # as the notebook says: the last code cell again
        "const book = window.jupyterapp.shell.currentWidget.content;"
        "book.activeCellIndex = book.widgets.findLastIndex((cell) => cell.model.type === 'code');"
        "window.jupyterapp.commands.execute('notebook:run-cell')"
    )
    end = time.monotonic() + 180
    while "1 accept" not in report.read_text():
        assert time.monotonic() < end
        time.sleep(0.5)
    finished(page)


@pytest.fixture(scope="module")
def after_demo(tmp_path_factory) -> Path:
    """The workspace as the first demo left it; the second one finds its videos done."""
    return tmp_path_factory.mktemp("demo") / "demo"


def test_a_newcomers_walk(tmp_path, packages, after_demo):
    where = "clone" if packages == REPO else "wheel"
    ws = Workspace(tmp_path / "outputs" / "demo")
    if after_demo.is_dir():
        shutil.copytree(after_demo, ws.root)
    else:
        write_condition_clip(ws.root, frames=9, height=176, width=320)  # the demo finds its clip drawn, and is short
    demo = [sys.executable, "-m", "dreamkit.cli", "demo", "--steps", str(STEPS)]
    done = subprocess.run(demo, cwd=tmp_path, env=environment_of(packages), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and "IPKernelApp" not in done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].strip() == "dreamkit lab --params params/demo"
    if not after_demo.is_dir():
        shutil.copytree(ws.root, after_demo)
    before = sha256(ws.single_view(Chunk(CURVE), "Night"))
    set_theme(tmp_path, THEMES[0])
    show_every_cell(tmp_path)
    with walking(tmp_path, packages, "params/demo") as (page, url):
        change_prompt(page, url)
        for name in ("04_single_view", "05_multi_view"):
            choose_style_and_run(page, url, name, "Night", where)
        judge(page, url, where, ws.review_report)
        page.get(f"{url}/files/outputs/demo/review/report.html?token={TOKEN}")
        wait(page, "document.body.textContent.includes('1 accept')", 30)
        for size, (width, height) in SIZES.items():
            metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            if folder := os.environ.get("DREAMKIT_SCREENSHOTS"):
                page.save_screenshot(f"{folder}/walk_{where}_report_{size}.png")
    for stage in ("single_view", "multi_view"):
        record = ws.read_sidecar(stage, Chunk(CURVE), "Night")
        assert "A bus waits at the kerb." in json.dumps(record)
        assert record["seconds"] and record["steps"] == STEPS
    assert sha256(ws.single_view(Chunk(CURVE), "Night")) != before
    assert '"accept"' in (ws.root / "review" / "verdicts.jsonl").read_text()
    log = (tmp_path / "lab.log").read_text()
    assert "Traceback" not in log and "ERROR" not in log and "over TCP without encryption" not in log
