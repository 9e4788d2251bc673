import json
import subprocess
import sys

import pytest

from dreamkit.errors import DreamkitError
from dreamkit.workspace import cameras
from dreamkit.workspace.workspace import STAGES, Chunk, Workspace, home


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def test_names_are_upstreams_and_chunks_carry_their_number(tmp_path):
    ws = Workspace(tmp_path)
    assert ws.single_view(Chunk("a"), "Golden hour") == tmp_path / "single_view" / "a_Golden hour.mp4"
    assert ws.single_view(Chunk("a", 2), "Night") == tmp_path / "single_view" / "a_2_Night.mp4"
    assert ws.view(Chunk("a"), "Night", 5) == tmp_path / "multi_view" / "a_Night" / "5.mp4"
    assert ws.condition("lidar", cameras.SIX_VIEWS.front, Chunk("a", 1)) == (
        tmp_path / "lidar" / "ftheta_camera_front_wide_120fov" / "a_1.mp4"
    )


def test_reading_makes_no_folder(tmp_path):
    ws = Workspace(tmp_path / "new")
    assert ws.clips() == []
    assert ws.chunks("a") == []
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_not_there_names_the_nearest(tmp_path):
    Workspace(tmp_path).must_exist()
    with pytest.raises(DreamkitError, match="no workspace folder"):
        Workspace(tmp_path / "outputs").must_exist()
    (tmp_path / "mine" / "captions").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    for wrong in ("mime", "zzz"):
        with pytest.raises(DreamkitError, match=r"nearest that exists is .*/mine\."):
            Workspace(tmp_path / wrong).must_exist()
    with pytest.raises(DreamkitError, match=r"nearest that exists is .*\."):
        Workspace(tmp_path / "zzz" / "deep").must_exist()


def test_clips_and_chunks_are_found(tmp_path):
    ws = Workspace(tmp_path)
    front = tmp_path / "hdmap" / "ftheta_camera_front_wide_120fov"
    for name in ("a_0.mp4", "a_1.mp4", "a_10.mp4", "a_b_0.mp4", ".partial-1-a_3.mp4", "odd.mp4"):
        touch(front / name)
    touch(ws.captions / "a.txt")
    touch(ws.captions / "a_b.json")
    assert ws.clips() == ["a", "a_b"]
    assert [chunk.index for chunk in ws.chunks("a")] == [0, 1, 10]
    assert ws.chunks("a_b") == [Chunk("a_b", 0)]


def test_a_missing_condition_names_the_path_and_the_nearest(tmp_path):
    ws = Workspace(tmp_path)
    touch(ws.condition("hdmap", cameras.SIX_VIEWS.front, Chunk("clip_one")))
    with pytest.raises(DreamkitError, match=r"clip_two_0\.mp4 is missing(.|\n)*clip_one_0\.mp4"):
        ws.found_condition("hdmap", cameras.SIX_VIEWS.front, Chunk("clip_two"))
    with pytest.raises(DreamkitError, match="camera_table"):
        ws.found_condition("hdmap", cameras.SIX_VIEWS.cameras[3], Chunk("clip_one"))
    with pytest.raises(DreamkitError, match="Draw it with `dreamkit render LABELS"):
        ws.found_condition("lidar", cameras.SIX_VIEWS.front, Chunk("clip_one"))


def test_other_camera_folders_come_from_a_table(tmp_path):
    table = tmp_path / "rig.yaml"
    table.write_text("pinhole_front: front_wide_120fov\n")
    ws = Workspace(tmp_path, cameras.read_folders(table))
    assert ws.condition("hdmap", cameras.SIX_VIEWS.front, Chunk("a")).parent.name == "pinhole_front"


@pytest.mark.parametrize("style", ["", "../x", ".hidden", "a/b", "x" * 201, "a\nb"])
def test_a_style_that_cannot_name_a_file_is_refused(tmp_path, style):
    with pytest.raises(DreamkitError, match="cannot be the name of a style"):
        Workspace(tmp_path).single_view(Chunk("a"), style)


def test_videos_of_a_stage_are_listed_without_partial_files(tmp_path):
    ws = Workspace(tmp_path)
    assert ws.result_videos("single_view") == ws.result_videos("multi_view") == []
    front, grid, view = (
        ws.single_view(Chunk("a"), "Night"),
        ws.grid(Chunk("a"), "Night"),
        ws.view(Chunk("a"), "Night", 1),
    )
    for path in (front, grid, view, front.with_name(".partial-1-b.mp4"), front.with_suffix(".json")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert ws.result_videos("single_view") == [front]
    assert ws.result_videos("multi_view") == [view, grid]
    assert ws.review_report == tmp_path / "review" / "report.html"


def test_sidecars_make_the_manifest(tmp_path):
    ws = Workspace(tmp_path)
    assert ws.read_sidecar("single_view", Chunk("a"), "Night") is None
    ws.write_sidecar("single_view", Chunk("a"), "Night", {"seed": 7})
    ws.write_sidecar("multi_view", Chunk("a", 1), "Night", {"seed": 8})
    assert ws.read_sidecar("single_view", Chunk("a"), "Night")["seed"] == 7
    (tmp_path / "single_view" / "broken.json").write_text("{")
    rows = [json.loads(line) for line in ws.write_manifest().read_text().splitlines()]
    assert [(row["stage"], row["clip"], row["chunk"], row["seed"]) for row in rows] == [
        ("single_view", "a", 0, 7),
        ("multi_view", "a", 1, 8),
    ]


def rows(ws):
    return [json.loads(line) for line in ws.manifest.read_text().splitlines()]


def test_a_result_made_again_has_its_new_line_last_and_alone_after_a_run(tmp_path):
    ws = Workspace(tmp_path)
    with ws.tidy_manifest():
        pass
    assert not ws.manifest.exists()
    with pytest.raises(KeyboardInterrupt), ws.tidy_manifest():
        for style, seed in (("Night", 1), ("Day", 2), ("Night", 3)):
            ws.write_sidecar("single_view", Chunk("a"), style, {"seed": seed})
        assert [row["seed"] for row in rows(ws)] == [1, 2, 3]
        raise KeyboardInterrupt
    assert [(row["style"], row["seed"]) for row in rows(ws)] == [("Day", 2), ("Night", 3)]


def test_a_result_costs_as_many_file_accesses_at_2000_results_as_at_10(tmp_path):
    ws = Workspace(tmp_path)
    accesses: list[tuple] = []
    counting = False

    def count(event, arguments):
        if counting and event in ("open", "os.listdir", "os.scandir"):
            accesses.append((event, arguments[0]))

    sys.addaudithook(count)  # cannot be removed; does nothing once `counting` is False
    costs = []
    for results in (10, 2000):
        for index in range(results):
            path = ws.sidecar("single_view", Chunk("a", index), "Night")
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(json.dumps({"stage": "single_view", "clip": "a", "chunk": index, "style": "Night"}))
        ws.write_manifest()
        counting = True
        ws.write_sidecar("single_view", Chunk("b", results), "Night", {})
        counting = False
        costs.append(len(accesses))
        accesses.clear()
        assert len(rows(ws)) == results + len(costs)
    assert costs[0] == costs[1] == 5


def test_a_large_manifest_is_rewritten_when_it_has_grown_by_half(tmp_path, monkeypatch):
    monkeypatch.setattr("dreamkit.workspace.manifest.SMALL_BYTES", 0)
    ws, rewritten = Workspace(tmp_path), []
    for number in range(100):
        with ws.tidy_manifest():
            ws.write_sidecar("single_view", Chunk("a", number), "Night", {"seed": 1})
            ws.write_sidecar("single_view", Chunk("a", number), "Night", {"seed": 2})
        if len(rows(ws)) == number + 1:
            rewritten.append(number)
    assert len(rewritten) < 20 and rewritten[-1] > 60
    assert {row["chunk"]: row["seed"] for row in rows(ws)} == dict.fromkeys(range(100), 2)
    ws.cache("manifest.compacted").unlink()
    with ws.tidy_manifest():
        pass
    assert [row["seed"] for row in rows(ws)] == [2] * 100


def test_two_writers_lose_no_line(tmp_path):
    code = (
        "import sys; from dreamkit.workspace.workspace import Chunk, Workspace\n"
        "ws = Workspace(sys.argv[1])\n"
        "for n in range(20):\n"
        "    ws.write_sidecar('single_view', Chunk(sys.argv[2], n), 'Night', {'prompt': 'x' * 9000})\n"
        "    if n % 5 == 0: ws.write_manifest()\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), clip]) for clip in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    made = {(row["clip"], row["chunk"]) for row in rows(Workspace(tmp_path))}
    assert made == {(clip, n) for clip in "ab" for n in range(20)}


def test_a_damaged_manifest_or_sidecar_does_not_stop_a_result(tmp_path, caplog):
    ws = Workspace(tmp_path)
    ws.manifest.write_bytes(b'{"stage": "single_view", "clip": "torn \xff')
    ws.write_sidecar("single_view", Chunk("a"), "Night", {})
    assert json.loads(ws.manifest.read_bytes().splitlines()[1])["clip"] == "a"
    head = '"stage": "single_view", "clip": "b", "chunk": 0, "style": '
    damaged = {
        "surrogate.json": "{" + head + '"\\ud800"}',
        "digits.json": "{" + head + "1" * 5000 + "}",
        "deep.json": "[" * 100_000,
        "bytes.json": "\x00",
        "kind.json": "{" + head + '["Night"]}',
        ".partial-1-a_Night.json": "{" + head + '"Night"}',
    }
    for name, text in damaged.items():
        (tmp_path / "single_view" / name).write_text(text)
    (tmp_path / "single_view" / "folder.json").mkdir()
    ws.write_sidecar("single_view", Chunk("a"), "Day", {})
    ws.write_manifest()
    assert [(row["clip"], row["style"]) for row in rows(ws)] == [("a", "Day"), ("a", "Night")]
    assert not caplog.text
    ws.manifest.unlink()
    ws.manifest.mkdir()
    ws.write_sidecar("single_view", Chunk("a"), "Dusk", {})
    ws.write_manifest()
    assert ws.read_sidecar("single_view", Chunk("a"), "Dusk")
    assert caplog.text.count("manifest.jsonl was not written") == 2


def test_relative_roots_mean_the_same_from_the_notebooks_folder(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert home() == tmp_path
    from_notebooks = Workspace("outputs").root
    monkeypatch.chdir(tmp_path)
    assert Workspace("outputs").root == from_notebooks == tmp_path / "outputs"


def test_results_are_listed_and_found_by_name(tmp_path):
    ws = Workspace(tmp_path)
    for path in (
        "single_view/mine.mp4",
        "single_view/.partial-1-a.mp4",
        "multi_view/a_1_Night/0.mp4",
        "multi_view/.old/0.mp4",
        "hdmap/pinhole_left/drawn_by_me_0.mp4",
        "lidar/ftheta_camera_front_wide_120fov/.hidden_0.mp4",
        "captions/told.txt",
    ):
        touch(tmp_path / path)
    assert ws.known_clips() == {"drawn_by_me", "told"}
    assert [ws.result_names(stage) for stage in STAGES] == [["mine"], ["a_1_Night"]]
    chunk = Chunk("a", 1)
    assert ws.result_view("multi_view", "a_1_Night", 5) == ws.view(chunk, "Night", 5)
    assert ws.result_view("single_view", "a_1_Night", 0) == ws.single_view(chunk, "Night")
    assert ws.result_sidecar("multi_view", "a_1_Night") == ws.sidecar("multi_view", chunk, "Night")
    assert ws.review_file("table.csv") == tmp_path / "review" / "table.csv"


@pytest.mark.parametrize("name", ["", "../x", ".hidden", "a/b", "a\nb"])
def test_records_of_a_result_stay_in_their_folders(tmp_path, name):
    ws = Workspace(tmp_path)
    for record in (ws.result_sidecar, ws.blocked_result, ws.failure, ws.lock_file):
        with pytest.raises(DreamkitError, match="cannot be the name of a result"):
            record("single_view", name)
