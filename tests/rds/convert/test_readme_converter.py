"""The converter in the README, run on a made-up log of dictionaries, with `dreamkit check` after it."""

import re
from pathlib import Path

import numpy as np
import pytest
from rds_clips import camera_to_vehicle
from typer.testing import CliRunner

from dreamkit.cli.app import app
from dreamkit.rds.convert.own_data import box_pose
from dreamkit.rds.labels import read_layer, read_objects
from dreamkit.rds.pinhole import Pinhole
from dreamkit.rds.rig import read_cameras

REPO = Path(__file__).resolve().parents[3]


def made_up_log(frames: int = 130) -> dict:
    """A straight drive at 10 Hz and 8 m/s, with what a fleet's own reader gives: all labels around the vehicle."""
    rows = []
    for number in range(frames):
        ego = box_pose([1_000_000 + 0.8 * number, 250_000, 30], 0.0)
        car = [20 + 0.2 * number, 3.5, 0.8]
        boxes = [{"track": "a", "label": "car", "centre": car, "yaw": 0.0, "length_width_height": (4.5, 1.9, 1.6)}]
        if not 40 < number < 60:
            walker = {"track": "b", "label": "person", "centre": [30 - 0.8 * number, -6.0, 0.9], "yaw": 1.5}
            boxes.append(walker | {"length_width_height": (0.6, 0.6, 1.8)})
        ahead = np.arange(-10, 41, 5.0)
        lines = {name: [np.stack([ahead, 0 * ahead + y, 0 * ahead], 1)] for name, y in (("lane", 1.75), ("edge", -5.5))}
        rows.append({"time": 1.7e9 + number / 10, "ego_to_world": ego.tolist(), "boxes": boxes, "lines": lines})
    cameras = {
        "front": {"intrinsics": [900, 900, 960, 540], "size": (1920, 1080), "sensor_to_ego": camera_to_vehicle(0)},
        "back": {"intrinsics": [960, 540, 900, 900], "size": (1920, 1080), "sensor_to_ego": camera_to_vehicle(180)},
    }
    return {"frames": rows, "cameras": cameras}


@pytest.mark.parametrize("readme", ["README.md", "README.zh.md"])
def test_the_converter_of_the_readme_makes_a_clip_that_passes_the_check(readme, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = next(
        code for code in re.findall(r"```python\n(.*?)```", (REPO / readme).read_text(), re.S) if "Drive(" in code
    )
    exec(compile(code, readme, "exec"), {"log": made_up_log()})
    clip = "my_drive_0001"
    done = CliRunner().invoke(app, ["check", "my_labels", "--camera-model", "pinhole"], catch_exceptions=False)
    assert done.exit_code == 0 and "warning" not in done.output, done.output
    assert set(read_cameras(tmp_path / "my_labels", clip, model="pinhole").values()) == {
        Pinhole(900, 900, 960, 540, 1920, 1080)
    }
    objects = read_objects(tmp_path / "my_labels", clip)
    frames = objects.frame[objects.track == objects.ids.index("b")]
    assert set(range(0, 388, 3)) - set(frames.tolist()) == set(range(123, 180, 3))
    assert set(objects.kind) == {"Car", "Pedestrian"}
    lines = read_layer(tmp_path / "my_labels", clip, "lanelines")
    assert np.ptp(lines.points[:, 0]) > 150 and np.abs(lines.points[:, 1] - 1.75).max() < 0.01
