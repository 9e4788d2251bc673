import torch

from dreamkit.bench import forward
from dreamkit.transfer import folders
from dreamkit.transfer.config import TINY_MULTI, TINY_SINGLE, ModelConfig, read_config


def test_random_checkpoints_have_the_released_names_and_load(tmp_path, capsys):
    forward.write_checkpoints(tmp_path, ["tiny_single", "tiny_multi"], torch.device("cpu"))
    single, multi = tmp_path / folders.SINGLE_VIEW, tmp_path / folders.MULTI_VIEW
    assert sorted(path.name for path in single.iterdir()) == ["base_model.pt", "dreamkit.json", "hdmap_control.pt"]
    assert sorted(path.name for path in multi.iterdir() if path.is_symlink()) == [
        "v2w_base_model.pt",
        "v2w_hdmap_control.pt",
    ]
    nothing = ModelConfig(TINY_SINGLE.denoiser, 1, 1, 1)
    assert read_config(single, nothing) == TINY_SINGLE and read_config(multi, nothing) == TINY_MULTI
    forward.bench_load(tmp_path, "tiny_multi", torch.device("cpu"))
    out = capsys.readouterr().out
    assert out.count("wrote ") == 4 and out.count("load    t2w_base_model.pt") == 3
