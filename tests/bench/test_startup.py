"""`bench.startup`: what it writes before it measures."""

from __future__ import annotations

from dreamkit.bench import startup
from dreamkit.bench.random_weights import released_files


def test_each_model_of_a_folder_is_written_before_its_start_is_measured(tmp_path, capsys):
    for model in ("tiny_single", "tiny_multi"):
        assert startup.main(["--model", model, "--checkpoints", str(tmp_path)]) == 0
        assert "run the command again" in capsys.readouterr().out
        assert released_files(tmp_path, model)["base"].is_file()
