import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dreamkit.errors import DreamkitError
from dreamkit.workspace import files, partials
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.workspace import Chunk, Workspace


def test_a_partial_file_has_an_unpredictable_name_and_keeps_the_suffix(tmp_path):
    with files.replacing(tmp_path / "a.mp4") as first, files.replacing(tmp_path / "a.mp4") as second:
        assert first != second
        for path in (first, second):
            assert path.name.startswith(f".partial-{partials.machine_mark()}-{os.getpid()}-")
            assert path.suffix == ".mp4" and path.parent == tmp_path
            path.write_bytes(b"x")


def test_a_long_name_can_be_written(tmp_path):
    path = tmp_path / ("é" * 120 + ".json")
    files.write_json(path, {})
    assert files.read_json(path, "thing") == {}


def test_a_link_in_the_place_of_a_partial_file_is_not_published(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (tmp_path / "ws").mkdir()
    with pytest.raises(DreamkitError, match="no longer a plain file"), files.replacing(tmp_path / "ws/a.txt") as part:
        part.unlink()
        part.symlink_to(outside)
    assert outside.read_text() == "mine"
    assert not list((tmp_path / "ws").iterdir())


def test_a_link_in_the_place_of_a_file_is_replaced_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (tmp_path / "a.json").symlink_to(outside)
    files.write_json(tmp_path / "a.json", {"a": 1})
    assert outside.read_text() == "mine" and not (tmp_path / "a.json").is_symlink()
    (tmp_path / "log.jsonl").symlink_to(outside)
    with pytest.raises(OSError, match="symbolic"):
        files.append_line(tmp_path / "log.jsonl", "{}")
    assert outside.read_text() == "mine"


def dead_process():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_partials_of_ended_processes_are_removed_and_others_kept(tmp_path):
    ws = Workspace(tmp_path)
    mark, dead = partials.machine_mark(), dead_process()
    other = "00000000" if mark != "00000000" else "11111111"
    folders = [
        "",
        "captions",
        "styles",
        "single_view",
        "multi_view/a_Night",
        "hdmap/cam",
        "notebooks",
        "review",
        ".cache/text",
    ]
    gone, kept = [], []
    for folder in folders:
        inside = tmp_path / folder
        inside.mkdir(parents=True, exist_ok=True)
        gone += [inside / f".partial-{mark}-{dead}-01234567-a.mp4", inside / f".partial-{dead}-a.json"]
        kept += [
            inside / f".partial-{mark}-{os.getpid()}-01234567-a.mp4",
            inside / f".partial-{other}-{dead}-0123abcd-a",
        ]
        gone.append(inside / f".partial-{other}-{dead}-76543210-a")
        for path in gone[-3:] + kept[-2:]:
            path.write_bytes(b"half")
        old = time.time() - partials.ABANDONED_SECONDS - 60
        os.utime(gone[-1], (old, old))
    ws.remove_abandoned("multi_view")
    assert not [path for path in gone if path.exists()]
    assert all(path.exists() for path in kept)


def test_a_folder_that_a_killed_export_left_is_removed(tmp_path):
    left = tmp_path / f".partial-{partials.machine_mark()}-{dead_process()}-01234567-set"
    (left / "videos").mkdir(parents=True)
    (left / "videos" / "a.mp4").write_bytes(b"x")
    partials.remove_abandoned([tmp_path])
    assert not left.exists()


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/x", "..", "a/b", "a\\b", "", ".hidden", "a\x00b", "caf\udce9", "x" * 252]
)
def test_every_path_builder_refuses_names_that_lead_elsewhere(tmp_path, name):
    ws, front = Workspace(tmp_path), SIX_VIEWS.front
    chunk = Chunk(name)
    builders = [
        lambda: ws.condition("hdmap", front, chunk),
        lambda: ws.condition_in("hdmap", name, Chunk("a")),
        lambda: ws.caption(name, "txt"),
        lambda: ws.style_record(name),
        lambda: ws.result_view("single_view", name, 0),
        lambda: ws.result_sidecar("multi_view", name),
        lambda: ws.executed(name),
        lambda: ws.lock_file("single_view", name),
    ]
    for of_chunk in (ws.single_view, ws.multi_view, ws.grid, ws.prompts):
        builders += [lambda of=of_chunk: of(chunk, "Night"), lambda of=of_chunk: of(Chunk("a"), name)]
    builders += [lambda: ws.view(chunk, "Night", 0), lambda: ws.sidecar("single_view", Chunk("a"), name)]
    for build in builders:
        with pytest.raises(DreamkitError, match="cannot be the name"):
            build()


@pytest.mark.parametrize("index", [-1, 10**20, pytest.param(10**4999, id="5000 digits")])
def test_a_chunk_has_a_number_that_a_file_name_can_have(tmp_path, index):
    ws = Workspace(tmp_path)
    for build in (lambda c: ws.single_view(c, "Night"), lambda c: ws.condition("hdmap", SIX_VIEWS.front, c)):
        with pytest.raises(DreamkitError, match="chunk has a number"):
            build(Chunk("a", index))


def test_two_long_names_together_are_an_error_and_not_a_traceback(tmp_path):
    with pytest.raises(DreamkitError, match="has 301 bytes, more than 240"):
        Workspace(tmp_path).single_view(Chunk("a" * 150), "b" * 150)


def test_unusable_file_names_are_left_out_with_a_warning(tmp_path, caplog):
    ws = Workspace(tmp_path)
    (tmp_path / "captions").mkdir()
    folder = tmp_path / "hdmap" / SIX_VIEWS.front.folder
    folder.mkdir(parents=True)
    for name in (b"good", b"caf\xe9", b"x" * 240):
        (ws.captions / os.fsdecode(name + b".txt")).write_text("A road.")
        (folder / os.fsdecode(name + b"_0.mp4")).touch()
    assert ws.clips() == ws.drawn_clips() == sorted(ws.known_clips()) == ["good"]
    assert "is not UTF-8" in caplog.text
    assert "240 bytes, more than 200" in caplog.text


def test_a_command_that_is_terminated_ends_like_ctrl_c(tmp_path):
    program = (
        "import os, signal, sys\n"
        "from dreamkit.workspace.processes import terminating_like_ctrl_c\n"
        "with terminating_like_ctrl_c():\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    finally:\n"
        "        print('tidied')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (143, "tidied\n", "")


def test_a_worker_ends_with_its_parent(tmp_path):
    script = tmp_path / "pool.py"
    script.write_text(
        "import concurrent.futures, multiprocessing, os, signal, sys, time\n"
        "from dreamkit.workspace.processes import end_with_parent\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('spawn')\n"
        "    pool = concurrent.futures.ProcessPoolExecutor(1, mp_context=context, initializer=end_with_parent)\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    pool.submit(time.sleep, 60)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, script], stdout=subprocess.PIPE, text=True)
    status = Path("/proc") / done.stdout.strip() / "stat"
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            if status.read_text().split()[2] == "Z":  # ended; where nobody collects orphans it stays as a zombie
                return
        except FileNotFoundError:
            return
        time.sleep(0.05)
    raise AssertionError("the child still runs")
