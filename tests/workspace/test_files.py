import pytest

from dreamkit.errors import DreamkitError
from dreamkit.workspace import files


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "a.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), files.replacing(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert files.read_json(path, "thing") == {"a": 1}
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DreamkitError, match="Cannot write"):
        files.write_text(tmp_path / "file" / "a.txt", "x")


def test_bad_json_is_refused_with_line_and_column(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": 1,\n "b" 2}')
    with pytest.raises(DreamkitError, match="line 2, column 6"):
        files.read_json(path, "spec")
    path.write_text('{"a": 1, "a": 2}')
    with pytest.raises(DreamkitError, match="'a' twice"):
        files.read_json(path, "spec")
    path.write_text("[1]")
    with pytest.raises(DreamkitError, match="not a list"):
        files.read_json(path, "spec")
    path.write_text("[" * 100_000)
    with pytest.raises(DreamkitError):
        files.read_json(path, "spec")
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(DreamkitError, match="not UTF-8"):
        files.read_json(path, "spec")
    with pytest.raises(DreamkitError, match=r"nearest that exists is .*a\.json"):
        files.read_json(tmp_path / "b.json", "spec")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: [1\n", r"not valid YAML at line 3, column 1: expected"),
        ("a: 1\n\tb: 2\n", r"not valid YAML at line 2, column 1"),
        ("a: \x07\n", r"not valid YAML at character 4: special characters are not allowed"),
        ("a: 2026-13-45\n", r"value that YAML cannot read: month must be in"),
        ("a: !!bool x\n", r"value that YAML cannot read"),
        ("a: !!timestamp x\n", r"value that YAML cannot read"),
        ("[" * 20_000, r"nested too deeply"),
        ("- a\n", r"lines of `name: value`, not a list"),
        ("1: a\n", r"the name 1, which is not a text"),
        ("{a: 1}: b\n", r"not valid YAML at line 1, column 1: found unhashable key"),
    ],
)
def test_bad_yaml_is_refused_with_line_and_fault(tmp_path, text, message):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(DreamkitError, match=message) as error:
        files.read_yaml(path, "table")
    assert error.value.hint


def test_a_yaml_table_is_read(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\nb: [x]\n")
    assert files.read_yaml(path, "table") == {"a": 1, "b": ["x"]}
    path.write_text("# nothing yet\n")
    assert files.read_yaml(path, "table") == {}


def test_large_files_are_sampled(tmp_path, monkeypatch):
    path = tmp_path / "weights.pt"
    path.write_bytes(bytes(3 * 2**20))
    assert files.fingerprint(path).startswith("sha256:")
    monkeypatch.setattr(files, "SAMPLED_FROM_BYTES", 2**20)
    before = files.fingerprint(path)
    assert before.startswith("sampled-sha256:")
    with path.open("rb+") as file:
        file.seek(2**21)
        file.write(b"x")
    assert files.fingerprint(path) != before


def test_nearest():
    assert files.nearest("Golden Hour", ["Golden hour", "Night"]) == "Golden hour"
    assert files.nearest("xyz", ["Night"]) is None
