"""Values computed from files are remembered while the files stay as they are."""

import os

import pytest

from dreamkit.workspace.file_memory import FileMemory


def test_a_file_is_read_again_only_when_it_changed(tmp_path):
    video, kept, read = tmp_path / "v.mp4", tmp_path / "cache" / "kept.json", []
    video.write_bytes(b"one")

    def length():
        read.append(video.read_bytes())
        return len(read[-1])

    memory = FileMemory(kept)
    assert (memory.value(video, "length", length), memory.value(video, "length", length)) == (3, 3)
    memory.save()
    assert FileMemory(kept).value(video, "length", length) == 3
    assert len(read) == 1
    before = memory.checksum(video)
    video.write_bytes(b"two")
    os.utime(video, ns=(1, 1))
    assert memory.value(video, "length", length) == 3 and len(read) == 2
    assert memory.checksum(video) != before


def test_values_go_with_a_moved_file_and_are_forgotten(tmp_path):
    old, new, kept = tmp_path / "old", tmp_path / "new", tmp_path / "kept.json"
    old.write_bytes(b"one")
    memory = FileMemory(kept)
    first = memory.checksum(old)
    memory.rename(old, old.rename(new))
    memory.save()
    assert FileMemory(kept).value(new, "sha256", lambda: 0) == first
    memory.forget(new)
    assert memory.value(new, "sha256", lambda: 0) == 0


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"length:x": 3}'])
def test_a_damaged_file_counts_as_empty(tmp_path, text):
    kept = tmp_path / "kept.json"
    kept.write_text(text)
    video = tmp_path / "v.mp4"
    video.write_bytes(b"one")
    assert FileMemory(kept).checksum(video).startswith("sha256:")


def test_a_missing_file_raises_what_the_computation_raises(tmp_path):
    with pytest.raises(ZeroDivisionError):
        FileMemory(tmp_path / "kept.json").value(tmp_path / "none", "what", lambda: 1 / 0)
