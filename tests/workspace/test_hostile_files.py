"""What readers of the workspace's room do with files that somebody made to do harm, or that are merely damaged."""

import os
import socket
import time

import numpy as np
import pytest

from dreamkit.errors import DreamkitError
from dreamkit.workspace import files, video
from dreamkit.workspace.cameras import SIX_VIEWS, read_folders
from dreamkit.workspace.containers import MOST_PIXELS
from dreamkit.workspace.workspace import Chunk, Workspace

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (BOMB, "counting those of an alias"),
        ("a: &a [*a]\n", "nested too deeply"),
        ("a: !!int abc\n", "YAML cannot read"),
        ("a: !!python/object/apply:os.system [touch x]\n", "not valid YAML"),
        ('a: "\\ud800"\n', "surrogate"),
        ("a: b\n" * 60_000, "letters"),
    ],
)
def test_yaml_is_bounded_before_it_is_used(tmp_path, text, match):
    (tmp_path / "p.yaml").write_text(text)
    began = time.monotonic()
    with pytest.raises(DreamkitError, match=match):
        files.read_yaml(tmp_path / "p.yaml", "table")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"a": NaN}', "not a finite number"),
        ('{"a": 1e999}', "not a finite number"),
        ('{"a": ' + "1" * 5000 + "}", "5000 digits"),
        ('{"a": "\\ud800"}', "surrogate"),
        ('{"a":' * 100_000, "nested too deeply|not valid JSON"),
    ],
)
def test_what_json_could_not_write_again_is_not_read(tmp_path, text, match):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DreamkitError, match=match):
        files.read_json(tmp_path / "a.json", "sidecar")


def test_many_names_and_large_files_cost_no_time(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("{" + ",".join(f'"k{n}": 1' for n in range(30_000)) + "}")
    began = time.monotonic()
    assert len(files.read_json(path, "file")) == 30_000
    assert time.monotonic() - began < 3
    with path.open("wb") as file:
        file.truncate(files.MOST_TEXT_BYTES + 1)
    with pytest.raises(DreamkitError, match="bytes; up to"):
        files.read_json(path, "file")


def test_a_message_is_short_and_has_no_control_characters(tmp_path):
    error = DreamkitError("x" * 200_000 + "\x1b[2J\udce9", "Mend it.")
    assert len(str(error)) < 10_000
    str(error).encode()
    assert "\x1b" not in str(error)


@pytest.mark.parametrize("name", ["..", ".", "a/b", "../x", ".hidden", "a\\b"])
def test_a_camera_table_names_folders_inside(tmp_path, name):
    (tmp_path / "t.yaml").write_text(f"'{name}': front_wide_120fov\n")
    with pytest.raises(DreamkitError, match="not the name of one folder"):
        read_folders(tmp_path / "t.yaml")


def test_a_text_that_names_other_files_is_no_video(tmp_path):
    real = tmp_path / "real.mp4"
    video.write_video(real, np.zeros((3, 32, 32, 3), np.uint8), 24)
    for text in ("ffconcat version 1.0\nfile real.mp4\n", "#EXTM3U\n#EXTINF:1,\nreal.mp4\n"):
        path = tmp_path / "list.mp4"
        path.write_text(text)
        for read in (video.probe, video.read_video):
            with pytest.raises(DreamkitError, match=r"list\.mp4 cannot be read: it is no mp4"):
                read(path)


def test_a_codec_that_is_unknown_and_metadata_that_is_no_text_name_the_file(tmp_path):
    path = tmp_path / "a.mp4"
    video.write_video(path, np.zeros((3, 32, 32, 3), np.uint8), 24)
    good = path.read_bytes()
    path.write_bytes(good.replace(b"avc1", b"zzzz"))
    with pytest.raises(DreamkitError, match=r"a\.mp4"):
        video.read_video(path)
    path.write_bytes(good.replace(b"Lavf", b"\xff\xfe\xfd\xfc"))
    assert video.probe(path).frames == 3
    assert MOST_PIXELS > 7680 * 4320


def test_a_manifest_that_cannot_be_written_fails_no_result(tmp_path, monkeypatch, caplog):
    from dreamkit.workspace import workspace

    def broken(*_):
        raise ValueError("anything")

    monkeypatch.setattr(workspace, "append_to_manifest", broken)
    ws = Workspace(tmp_path)
    path = ws.write_sidecar("single_view", Chunk("a"), "Night", {})
    assert path.is_file() and "was not written: anything" in caplog.text


def test_a_sidecar_with_names_that_lead_out_is_no_result(tmp_path):
    ws = Workspace(tmp_path)
    head = {"stage": "single_view", "chunk": 0, "style": "Night"}
    for index, clip in enumerate(("../../evil", "good", "/x", "a\x00")):
        files.write_json(tmp_path / "single_view" / f"{index}.json", {**head, "clip": clip})
    files.write_json(tmp_path / "single_view" / "c.json", {**head, "clip": "good", "chunk": -1})
    assert [record["clip"] for record in ws.sidecars("single_view")] == ["good"]
    assert SIX_VIEWS.front.folder in ws.folders.values()


def test_what_is_no_plain_file_is_called_what_it_is(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "device.mp4").symlink_to("/dev/zero")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket.mp4"))
    for name in ("folder", "pipe", "device", "socket"):
        with pytest.raises(DreamkitError, match=rf"{name}.mp4 is a {name}, not a video"):
            video.probe(tmp_path / f"{name}.mp4")
    with pytest.raises(DreamkitError, match="Too many levels of symbolic links"):
        video.probe(tmp_path / "loop.mp4")
