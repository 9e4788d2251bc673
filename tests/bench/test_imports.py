"""dreamkit.bench.video imports, and a tiny forward pass runs, with only the world model's dependencies."""

import subprocess
import sys

import pytest

ABSENT = ("av", "cv2", "IPython", "ipywidgets", "pandas", "papermill", "PIL", "pydantic", "scipy", "typer", "yaml")


@pytest.mark.parametrize(
    "code",
    [
        "import dreamkit.bench.load, dreamkit.bench.quality, dreamkit.bench.scaling, dreamkit.bench.video",
        "from dreamkit.bench import forward; forward.main(['--models', 'tiny_multi', '--repeats', '1'])",
    ],
)
def test_world_model_measurements_need_the_world_models_dependencies_alone(code):
    block = f"import sys; sys.modules.update(dict.fromkeys({ABSENT}))\n"
    subprocess.run([sys.executable, "-c", block + code], check=True)
