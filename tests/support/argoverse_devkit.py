"""Projections by the data set's own devkit, for `test_argoverse2_devkit`; runs in an environment with `av2`.

python argoverse_devkit.py LOG OUT.npz SWEEP[,SWEEP...]
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from av2.geometry.camera.pinhole_camera import PinholeCamera
from av2.map.map_api import ArgoverseStaticMap
from av2.structures.cuboid import CuboidList
from av2.utils.io import read_city_SE3_ego


def main(log: Path, out: Path, sweeps: list[int]) -> None:
    """Write the pixels of box corners and lane boundaries inside the pictures of all cameras at some sweeps."""
    cuboids = CuboidList.from_feather(log / "annotations.feather").cuboids
    tracks = pd.read_feather(log / "annotations.feather").track_uuid.tolist()
    stamps = sorted({cuboid.timestamp_ns for cuboid in cuboids})
    poses = read_city_SE3_ego(log)
    lanes = ArgoverseStaticMap.from_json(next((log / "map").glob("log_map_archive*.json"))).vector_lane_segments
    lines = [
        boundary.xyz
        for lane in lanes.values()
        for mark, boundary in (
            (lane.left_mark_type, lane.left_lane_boundary),
            (lane.right_mark_type, lane.right_lane_boundary),
        )
        if mark.name not in ("NONE", "UNKNOWN")
    ]
    names = pd.read_feather(log / "calibration" / "intrinsics.feather").sensor_name.tolist()
    rows: list[tuple] = []
    for sweep in sweeps:
        to_ego = poses[stamps[sweep]].inverse()
        for name in names:
            camera = PinholeCamera.from_feather(log, name)
            shapes = [
                (track, cuboid.vertices_m)
                for track, cuboid in zip(tracks, cuboids, strict=True)
                if cuboid.timestamp_ns == stamps[sweep]
            ]
            shapes += [("", to_ego.transform_point_cloud(line)) for line in lines]
            for track, points in shapes:
                pixels, seen, inside = camera.project_ego_to_img(points)
                if track and (seen[:, 2] <= 0.1).any():
                    continue
                rows += [(sweep, name, track, *pixels[index, :2]) for index in np.flatnonzero(inside)]
    sweep, name, track, u, v = zip(*rows, strict=True)
    np.savez(out, stamps=np.array(stamps), sweep=sweep, camera=name, track=track, pixels=np.stack([u, v], 1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [int(part) for part in sys.argv[3].split(",")])
