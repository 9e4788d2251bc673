"""Boxes and lines of a converted Argoverse 2 log against the projections of the data set's own devkit.

Runs where ARGOVERSE2_LOG names a log with calibration and ARGOVERSE2_PYTHON a Python that has `av2`.
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dreamkit.rds.convert.argoverse2 import read_argoverse2
from dreamkit.rds.convert.drive import write_drive
from dreamkit.rds.labels import CAMERA_HZ, read_layer, read_objects
from dreamkit.rds.objects import box_corners, every_frame
from dreamkit.rds.poses import resample
from dreamkit.rds.rig import read_camera_poses, read_cameras

SCRIPT = Path(__file__).parents[2] / "support" / "argoverse_devkit.py"
SWEEPS = (0, 31, 77, 120)


@pytest.mark.real_data
@pytest.mark.skipif(
    not {"ARGOVERSE2_LOG", "ARGOVERSE2_PYTHON"} <= set(os.environ), reason="no log and devkit of Argoverse 2"
)
def test_projections_agree_with_the_devkit_within_a_pixel(tmp_path):
    log = Path(os.environ["ARGOVERSE2_LOG"])
    record, clip = write_drive(tmp_path, read_argoverse2(log)), log.name
    line = [os.environ["ARGOVERSE2_PYTHON"], str(SCRIPT), str(log), str(tmp_path / "devkit.npz")]
    subprocess.run([*line, ",".join(map(str, SWEEPS))], check=True, env={"PATH": os.environ["PATH"]})
    devkit = np.load(tmp_path / "devkit.npz")
    # The pictures of a sweep at its own moment, which may be a millisecond beside the 30 Hz frame.
    seconds = (devkit["stamps"] - record["source"]["clock_ns"]) / 1e9
    at = (seconds - record["start"]) * CAMERA_HZ
    tracks, lenses = read_camera_poses(tmp_path, clip), read_cameras(tmp_path, clip, model="pinhole")
    boxes = every_frame(read_objects(tmp_path, clip), record["frames"])
    corners, lines = box_corners(boxes), read_layer(tmp_path, clip, "lanelines").points
    farthest, count = {"boxes": 0.0, "lines": 0.0}, 0
    for sweep in SWEEPS:
        frame = 3 * sweep
        for name, lens in lenses.items():
            to_camera = np.linalg.inv(resample(tracks[name], at[[sweep]])[0])
            here = (devkit["sweep"] == sweep) & (devkit["camera"] == name)
            for track in np.unique(devkit["track"][here]):
                rows = np.flatnonzero((boxes.frame == frame) & (np.array(boxes.track) == track))
                points = corners[rows].reshape(-1, 3) if track else lines
                seen = points @ to_camera[:3, :3].T + to_camera[:3, 3]
                mine = lens.project(seen[seen[:, 2] > 0])
                theirs = devkit["pixels"][here & (devkit["track"] == track)]
                away = np.linalg.norm(theirs[:, None] - mine[None], axis=2).min(1).max()
                farthest["boxes" if track else "lines"] = max(farthest["boxes" if track else "lines"], float(away))
                count += len(theirs)
    assert count > 500
    assert max(farthest.values()) < 1.0, farthest
