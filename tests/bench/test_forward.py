import json

import torch

from dreamkit.bench import forward, load
from dreamkit.bench.random_weights import write_checkpoints
from dreamkit.transfer import folders
from dreamkit.transfer.config import TINY_MULTI, TINY_SINGLE, ModelConfig, read_config


def test_random_checkpoints_have_the_released_names_and_load(tmp_path, capsys):
    write_checkpoints(tmp_path, ["tiny_single", "tiny_multi"], torch.device("cpu"))
    single, multi = tmp_path / folders.SINGLE_VIEW, tmp_path / folders.MULTI_VIEW
    assert sorted(path.name for path in single.iterdir()) == ["base_model.pt", "dreamkit.json", "hdmap_control.pt"]
    assert sorted(path.name for path in multi.iterdir() if path.is_symlink()) == [
        "v2w_base_model.pt",
        "v2w_hdmap_control.pt",
    ]
    nothing = ModelConfig(TINY_SINGLE.denoiser, 1, 1, 1)
    assert read_config(single, nothing) == TINY_SINGLE and read_config(multi, nothing) == TINY_MULTI
    assert capsys.readouterr().out.count("wrote ") == 4
    arguments = ["--models", "tiny_multi", "--checkpoints", str(tmp_path), "--json", str(tmp_path / "load.json")]
    assert load.main(arguments) == 0
    assert "wrote" not in capsys.readouterr().out
    rows = json.loads((tmp_path / "load.json").read_text())["rows"]
    assert [row["state"] for row in rows] == ["cold", "warm", "warm"]
    assert {row["file"] for row in rows} == {"t2w_base_model.pt"} and all(row["seconds"] > 0 for row in rows)


def test_a_forward_is_timed_and_its_profile_adds_up(tmp_path, capsys):
    path = tmp_path / "forward.json"
    forward.main(["--models", "tiny_multi", "--repeats", "1", "--profile", "--json", str(path)])
    told, written = capsys.readouterr().out, json.loads(path.read_text())
    assert written["bench"] == "forward" and written["machine"]["torch"] == torch.__version__
    assert [row["what"] for row in written["rows"]] == ["forward", "evaluation"]
    assert {row["preset"] for row in written["rows"] + written["profile"]} == {"exact"}
    assert abs(sum(row["share"] for row in written["profile"]) - 1) < 0.01
    assert {"attention", "matrix products"} <= {row["kernels"] for row in written["profile"]}
    assert "| tiny_multi | forward " in told and "| attention " in told
