import subprocess
import sys
import threading
import time

from dreamkit.workspace.locks import file_lock, is_locked

WORKER = """
import sys, time
from pathlib import Path
from dreamkit.workspace.locks import file_lock
lock, total = Path(sys.argv[1]), Path(sys.argv[2])
for _ in range(25):
    with file_lock(lock, "a", wait=True) as held:
        assert held
        number = int(total.read_text())
        time.sleep(0.001)
        total.write_text(str(number + 1))
"""


def test_four_processes_never_hold_a_lock_at_the_same_time(tmp_path):
    lock, total = tmp_path / ".locks" / "single_view" / "a.lock", tmp_path / "total"
    total.write_text("0")
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, lock, total]) for _ in range(4)]
    assert [worker.wait() for worker in workers] == [0] * 4
    assert total.read_text() == "100"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["total"]


def test_who_does_not_wait_is_told_and_who_waits_comes_next(tmp_path, caplog):
    caplog.set_level("INFO")
    path = tmp_path / ".locks" / "a.lock"
    with file_lock(path, "a", wait=False) as held, file_lock(path, "a", wait=False) as other:
        assert held and not other
        waiting = threading.Thread(target=lambda: file_lock(path, "a", wait=True).__enter__())
        waiting.start()
        time.sleep(0.2)
        assert waiting.is_alive()
    waiting.join(5)
    assert not waiting.is_alive()
    assert caplog.text.count("another run is making it") == 1


def test_a_wait_of_some_seconds_ends_and_a_lock_can_be_looked_up(tmp_path):
    path = tmp_path / "runs" / ".lock"
    assert not is_locked(path) and not path.exists()
    with file_lock(path, "a", wait=False):
        began = time.monotonic()
        with file_lock(path, "a", wait=0.3) as held:
            assert not held and time.monotonic() - began >= 0.3
        assert is_locked(path) and path.is_file()
    path.touch()  # of a killed process
    assert not is_locked(path) and path.is_file()


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    path = tmp_path / ".locks" / "a.lock"
    program = (
        "import os, pathlib, signal, sys\n"
        "from dreamkit.workspace.locks import file_lock\n"
        "with file_lock(pathlib.Path(sys.argv[1]), 'a', False):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, path], check=False)
    assert path.is_file()
    with file_lock(path, "a", wait=False) as held:
        assert held
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_without_locks_a_result_is_made_all_the_same(tmp_path, caplog):
    (tmp_path / ".locks").write_text("a file in the place of the folder")
    with file_lock(tmp_path / ".locks" / "a.lock", "a", wait=False) as held:
        assert held
    assert "without a lock" in caplog.text
