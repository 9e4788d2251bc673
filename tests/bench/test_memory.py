import json

import torch

from dreamkit.bench import memory, random_weights, startup


def test_each_preset_has_a_row_and_the_json_has_machine_and_versions(tmp_path, capsys):
    path = tmp_path / "memory.json"
    memory.main(["--models", "tiny_multi", "--presets", "exact,12gb", "--repeats", "1", "--json", str(path)])
    made = json.loads(path.read_text())
    assert {"device", "torch", "dreamkit", "cores"} <= made["machine"].keys()
    exact, small = made["rows"]
    assert (exact["preset"], exact["cap_gib"], exact["resident"]) == ("exact", None, None)
    assert (small["preset"], small["cap_gib"], small["resident"], small["blocks"]) == ("12gb", 12, 7, 7)
    assert len(exact["seconds"]) == 1 and not small["failed"]
    out = capsys.readouterr().out
    assert memory.HEADING in out and "tiny_multi   12gb      12" in out


def test_the_stages_of_a_start(tmp_path, capsys):
    random_weights.write_checkpoints(tmp_path, ["tiny_single"], torch.device("cpu"))
    path = tmp_path / "start.json"
    startup.main(["--model", "tiny_single", "--cold", "--checkpoints", str(tmp_path), "--json", str(path)])
    seconds = json.loads(path.read_text())["seconds"]
    assert list(seconds)[-3:] == ["denoiser loaded", "first step", "second step"]
    assert all(value >= 0 for value in seconds.values())
    assert "cold files" in capsys.readouterr().out
