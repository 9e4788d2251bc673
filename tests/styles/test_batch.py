from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dreamkit.errors import DreamkitError
from dreamkit.styles import Restyler, RuleRewriter, clip_prompts, load_styles, side_prompts, write_styles
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.workspace import Workspace

CAPTION = "A red car waits at a traffic light under a clear sky. Two people cross the street."
ALL = ["Original", "Golden hour", "Morning", "Night", "Rainy", "Snowy", "Sunny", "Foggy"]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "captions").mkdir()
    (tmp_path / "captions" / "one.txt").write_text(CAPTION + "\n")
    return Workspace(tmp_path)


def captions(workspace: Workspace, clip: str) -> dict:
    return json.loads((workspace.captions / f"{clip}.json").read_text())


def record(workspace: Workspace, clip: str) -> dict:
    return json.loads(workspace.style_record(clip).read_text())


def test_the_file_is_upstreams_form_and_the_sidecar_says_how_it_came_about(workspace: Workspace) -> None:
    report = write_styles(workspace, Restyler(seed=4))
    assert report.written == ["one"] and not report.problems
    written = captions(workspace, "one")
    assert list(written) == ALL and written["Original"] == CAPTION
    told = record(workspace, "one")
    assert list(told["styles"]) == ALL[1:]
    night = told["styles"]["Night"]
    assert (night["rewriter"], night["seed"], night["passed"], night["fell_back"]) == ("rules", 4, True, False)
    assert all(night["checks"].values()) and len(night["checks"]) == 8
    assert workspace.clips() == ["one"], "the sidecar must not look like a caption"


def test_what_is_there_is_kept_and_what_is_missing_is_added(workspace: Workspace) -> None:
    mine = {"Night": "My own night.", "Mars": "A red planet.", "Original": CAPTION}
    (workspace.captions / "one.json").write_text(json.dumps(mine))
    write_styles(workspace, Restyler(), styles=["Rainy", "Night"])
    written = captions(workspace, "one")
    assert list(written) == ["Original", "Night", "Rainy", "Mars"]
    assert written["Night"] == "My own night." and written["Mars"] == "A red planet."
    assert list(record(workspace, "one")["styles"]) == ["Rainy"], "the sidecar speaks of what it knows"
    before = (workspace.captions / "one.json").stat().st_mtime_ns
    assert write_styles(workspace, Restyler(), styles=["Rainy", "Night"]).kept == ["one"]
    assert (workspace.captions / "one.json").stat().st_mtime_ns == before
    write_styles(workspace, Restyler(), styles=["Night"], overwrite=True)
    assert captions(workspace, "one")["Night"] != "My own night."
    assert captions(workspace, "one")["Rainy"] == written["Rainy"]


def test_a_changed_text_is_said_and_taken_only_when_asked(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    write_styles(workspace, Restyler())
    (workspace.captions / "one.txt").write_text("A bus turns left.")
    write_styles(workspace, Restyler())
    assert "differs from Original" in caplog.text and captions(workspace, "one")["Original"] == CAPTION
    write_styles(workspace, Restyler(), overwrite=True)
    assert captions(workspace, "one")["Original"] == "A bus turns left."


def test_views_get_upstreams_sentences_and_the_weather_only_when_asked(workspace: Workspace) -> None:
    write_styles(workspace, Restyler())
    views = record(workspace, "one")["views"]
    assert views["side_weather"] is False
    assert views["prompts"]["Rainy"] == [camera.sentence for camera in SIX_VIEWS.cameras[1:]]
    write_styles(workspace, Restyler(), overwrite=True, side_weather=True)
    views = record(workspace, "one")["views"]
    assert views["side_weather"] is True
    assert views["prompts"]["Original"] == [camera.sentence for camera in SIX_VIEWS.cameras[1:]]
    assert views["prompts"]["Rainy"] == [
        f"{camera.sentence} It is raining, with an overcast sky and wet surfaces." for camera in SIX_VIEWS.cameras[1:]
    ]
    front = side_prompts("A car.", load_styles().style("Night"), load_styles(), weather=True)[0]
    assert front == "The video is captured from a camera mounted on a car. The camera is facing forward. A car."


BAD = {
    "empty": ("  \n", "is empty"),
    "marks": ("?!... 123", "holds no words"),
    "long": ("The car drives on. " * 750, "3000 words"),
    "chinese": ("雨夜，一辆红色轿车在路口左转，两名行人等待过马路。", "written in Chinese"),
    "german": (
        "Ein rotes Auto biegt an der Kreuzung links ab, zwei Leute warten am Zebrastreifen.",
        "does not read as English",
    ),
    "broken": ("{", "not valid JSON"),
}


def test_bad_captions_are_told_one_by_one_and_the_others_are_written(workspace: Workspace) -> None:
    for name, (text, _) in BAD.items():
        (workspace.captions / f"{name}.{'json' if name == 'broken' else 'txt'}").write_text(text)
    (workspace.captions / "latin.txt").write_bytes(b"caf\xe9 on the corner")
    report = write_styles(workspace, Restyler())
    assert report.written == ["one"]
    assert set(report.problems) == {*BAD, "latin"}
    for name, (_, words) in BAD.items():
        assert words in report.problems[name].message and report.problems[name].hint
        assert name == "broken" or not (workspace.captions / f"{name}.json").exists()
        assert not workspace.style_record(name).exists()
    assert "not UTF-8" in report.problems["latin"].message
    assert "translates" in report.problems["chinese"].hint
    with pytest.raises(DreamkitError, match="7 captions could not be used, 1 were written"):
        report.raise_problems()


def test_one_word_quotes_and_newlines_work(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    (workspace.captions / "word.txt").write_text("Highway")
    (workspace.captions / "quotes.txt").write_text("A sign says \"OPEN\nat night\".\n\nA car\r\nstops in the 'rain'.")
    report = write_styles(workspace, Restyler())
    assert not report.problems and "one word" in caplog.text
    assert captions(workspace, "word")["Night"].startswith("Highway. ")
    sunny = captions(workspace, "quotes")["Sunny"]
    assert '"OPEN at night"' in sunny and "rain" not in sunny and "\n" not in sunny


def test_a_json_without_original_takes_the_text_or_says_so(workspace: Workspace) -> None:
    for clip in ("one", "two"):
        (workspace.captions / f"{clip}.json").write_text(json.dumps({"Night": "A car at night."}))
    report = write_styles(workspace, Restyler())
    assert captions(workspace, "one")["Original"] == CAPTION
    assert "has no Original" in report.problems["two"].message
    assert captions(workspace, "two") == {"Night": "A car at night."}


def test_no_captions_and_unknown_styles_are_refused(tmp_path: Path, workspace: Workspace) -> None:
    with pytest.raises(DreamkitError, match="no caption in"):
        write_styles(Workspace(tmp_path / "elsewhere"), Restyler())
    with pytest.raises(DreamkitError, match="Did you mean 'Rainy'"):
        write_styles(workspace, Restyler(), styles=["rainny"])
    assert not (workspace.captions / "one.json").exists()


CUSTOM = """
styles:
  Sandstorm:
    weather: sand
    keeps: {day: day}
    words: [sandstorm]
    leads: [in a sandstorm]
    noun: a dusty day
    instruction: a sandstorm
scenes:
  day sand:
    details: [["Brown dust fills the air of the sandstorm."]]
    clause: a sandstorm blows
"""


def test_a_users_own_style(workspace: Workspace, tmp_path: Path) -> None:
    table_file = tmp_path / "mine.yaml"
    table_file.write_text(CUSTOM)
    table = load_styles(table_file)
    write_styles(workspace, Restyler(rules=RuleRewriter(table)), styles=["Sandstorm", "Night"])
    written = captions(workspace, "one")
    assert list(written) == ["Original", "Night", "Sandstorm"]
    assert "in a sandstorm" in written["Sandstorm"] and "clear sky" not in written["Sandstorm"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("weather: sand", "weater: sand"), "Did you mean 'weather'"),
        (("words: [sandstorm]", "words: []"), "has no words"),
        (("words: [sandstorm]", "words: sandstorm"), r"styles.Sandstorm.words: it must be a list of texts"),
        (("keeps: {day: day}", "keeps: {day: 1}"), r"styles.Sandstorm.keeps: it must be texts by name"),
        (("scenes:", "seens:"), "wrong at seens"),
        (("    weather: sand\n", ""), "changes nothing"),
        (("day sand:", "day snad:"), "no scene 'day sand'"),
        (("Sandstorm:", "Original:"), "defines Original"),
        (("styles:", "styles: ["), "not valid YAML at line"),
        (("styles:", "style:"), "must have a part `styles`"),
        (("Sandstorm:", "Sand/storm:"), "cannot be the name"),
    ],
)
def test_faults_of_a_style_table(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(CUSTOM.replace(*change))
    with pytest.raises(DreamkitError) as caught:
        load_styles(path)
    assert words in str(caught.value)


def test_killed_half_way_and_started_again_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    folder = tmp_path / "captions"
    folder.mkdir()
    for number in range(120):
        (folder / f"clip{number:03d}.txt").write_text(f"Car number {number} waits at a red light. {CAPTION}")
    command = [sys.executable, "-m", "dreamkit.cli", "styles", "write", "-w", str(tmp_path)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(folder.glob("clip*.json"))) < 20 and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    # A partial file of the killed run begins with a dot and is not read.
    half = {path.name: path.read_bytes() for path in folder.glob("clip*.json")}
    assert 20 <= len(half) < 120, "killed half-way"
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{120 - len(half)} caption files written, {len(half)} kept" in done.stdout
    assert {name: (folder / name).read_bytes() for name in half} == half
    for number in range(120):
        written = json.loads((folder / f"clip{number:03d}.json").read_text())
        assert list(written) == ALL and all(f"Car number {number} " in text for text in written.values())
    assert len(list((tmp_path / "styles").glob("clip*.json"))) == 120


def test_the_side_views_get_the_weather_of_a_style_of_the_users_own(
    workspace: Workspace, tmp_path: Path, caplog
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "styles:\n  Autumn:\n    description: autumn\n    words: [autumn]\n    sentences: [autumn leaves lie about]\n"
    )
    write_styles(workspace, Restyler(rules=RuleRewriter(load_styles(mine))), styles=["Autumn", "Rainy"])
    assert record(workspace, "one")["views"]["own_weather"] == {"Autumn": "Autumn leaves lie about."}
    sentences = [camera.sentence for camera in SIX_VIEWS.cameras[1:]]
    views = {style: clip_prompts(workspace, "one", style, "A car.")[1:] for style in ("Autumn", "Rainy", "Dust")}
    assert views["Autumn"] == [f"{sentence} Autumn leaves lie about." for sentence in sentences]
    assert all("It is raining" in prompt for prompt in views["Rainy"])
    assert views["Dust"] == sentences and "the style Dust is not built in" in caplog.text


def test_a_scene_that_the_table_lacks_is_named(tmp_path: Path, caplog) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "styles:\n  Haze:\n    weather: haze\n    keeps: {day: day, night: night}\n    description: haze\n"
        "    words: [haze]\n    leads: [in the haze]\n"
        "scenes:\n  day haze: {sky: [haze dims the sky], light: [the light is dull]}\n"
    )
    load_styles(mine)
    assert "the style 'Haze'" in caplog.text and "no scene 'night haze'" in caplog.text
    assert "'day haze'" not in caplog.text
