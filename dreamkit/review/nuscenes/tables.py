"""nuScenes' records of a labelled video: scene, samples, pictures, poses and calibration.

Fields are those of docs/schema_nuscenes.md of nutonomy/nuscenes-devkit. Rotations are quaternions w, x, y, z; sizes are
width, length, height. The global frame is the clip's world moved by whole metres, so that its map begins at the origin.
Records have further keys where the schema has no place for something; the devkit leaves them alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dreamkit.captions.conditions import read_state
from dreamkit.rds.ftheta import FTheta
from dreamkit.review.labelled import LabelledVideo
from dreamkit.review.library import ReviewVideo
from dreamkit.review.nuscenes.annotations import add_annotations
from dreamkit.review.nuscenes.categories import ATTRIBUTES, CATEGORIES, CHANNELS, VISIBILITIES
from dreamkit.review.nuscenes.pictures import Rectified
from dreamkit.review.nuscenes.records import Records, token_of, wxyz, xyz
from dreamkit.review.nuscenes.sweeps import KeySweep, add_sweeps

EPOCH = 1_600_000_000_000_000
"""Microseconds of the first scene: labels have frame numbers and no clock, so the dates are made up."""
SCENE_MICROSECONDS = 1_000_000_000
"""From the beginning of a scene to that of the next one."""


def add_fixed(records: Records) -> None:
    """Add the tables that every data set has: categories, attributes, visibility levels, sensors."""
    for name in CATEGORIES:
        records.add("category", token_of("category", name), name=name, description="")
    for name in ATTRIBUTES:
        records.add("attribute", token_of("attribute", name), name=name, description="")
    for token, level in VISIBILITIES.items():
        records.add("visibility", token, level=level, description=f"{level[1:]} % of the box is in the pictures")
    for channel in CHANNELS.values():
        records.add("sensor", token_of("sensor", channel), channel=channel, modality="camera")


def key_frames(frames: int, every: int) -> list[int]:
    """The key frames of a video: every so many frames from the first, and the last one.

    The last frame is one, because the devkit interpolates boxes between a picture's key frames.
    """
    return sorted({*range(0, frames, every), frames - 1})


def scene_weather(video: ReviewVideo) -> str:
    """Weather and time of day in words, from the style's name and else from the prompt; empty where neither says."""
    style, prompt = read_state(video.style), read_state(video.prompt)
    time, weather = style[0] or prompt[0], style[1] or prompt[1]
    return ", ".join(part for part in (weather, {"golden": "golden hour"}.get(time, time)) if part)


def picture_name(video: ReviewVideo, camera: str, frame: int, key_frame: bool) -> str:
    """Path of a picture inside the data set."""
    channel = CHANNELS[camera]
    name = f"{video.key.replace('/', '__')}__{channel}__{frame:06d}.jpg"
    return f"{'samples' if key_frame else 'sweeps'}/{channel}/{name}"


def add_video(
    records: Records,
    labelled: LabelledVideo,
    cameras: Mapping[str, Rectified],
    every: int,
    offset: np.ndarray,
    provenance: Mapping[str, Any],
    keep_original: bool = False,
    sweeps: Mapping[int, KeySweep] | None = None,
) -> dict[str, int]:
    """Add a labelled video as one scene with its log.

    Args:
        records: the tables.
        labelled: the result with its labels.
        cameras: view -> the camera of its exported pictures.
        every: frames from one key frame to the next.
        offset: added to world coordinates, metres [3].
        provenance: the extra entry of the log record.
        keep_original: whether the pictures as in the video are exported too.
        sweeps: key frame -> its LiDAR sweep, from `sweeps.key_sweeps`.

    Returns:
        Number of samples, pictures and annotations.
    """
    video, key = labelled.video, labelled.video.key
    scene, log = token_of("scene", key), token_of("log", key)
    start = EPOCH + len(records.tables["scene"]) * SCENE_MICROSECONDS
    times = [start + round((labelled.first + frame) / labelled.hz * 1e6) for frame in range(labelled.frames)]
    keys = key_frames(labelled.frames, every)
    samples = {frame: token_of("sample", key, frame) for frame in keys}
    for frame, token in samples.items():
        records.add("sample", token, timestamp=times[frame], prev="", next="", scene_token=scene)
    records.link("sample", samples.values())
    for name, rectified in cameras.items():
        _add_view(records, labelled, name, rectified, samples, times, offset, keep_original)
    pinholes = {name: found.pinhole for name, found in cameras.items()}
    add_sweeps(records, labelled, sweeps or {}, samples, times, offset)
    boxes = add_annotations(records, labelled, pinholes, samples, offset, sweeps)
    weather = scene_weather(video)
    records.add(
        "scene",
        scene,
        log_token=log,
        nbr_samples=len(samples),
        first_sample_token=samples[keys[0]],
        last_sample_token=samples[keys[-1]],
        name=key.replace("/", "__"),
        description=", ".join([*([weather.capitalize()] if weather else []), f"style {video.style}", "synthetic"]),
    )
    records.add(
        "log",
        log,
        logfile=video.chunk.name,
        vehicle="synthetic",
        date_captured=str(provenance.get("made", "")),
        location=video.chunk.clip,
        provenance=dict(provenance),
    )
    return {"samples": len(samples), "pictures": len(cameras) * labelled.frames, "annotations": boxes}


def _add_view(
    records: Records,
    labelled: LabelledVideo,
    name: str,
    rectified: Rectified,
    samples: Mapping[int, str],
    times: list[int],
    offset: np.ndarray,
    keep_original: bool,
) -> None:
    """Add a view's calibration, and a picture and a pose for each frame."""
    view, key, channel = labelled.views[name], labelled.video.key, CHANNELS[name]
    pinhole = rectified.pinhole
    calibration = records.add(
        "calibrated_sensor",
        token_of("calibration", key, name),
        sensor_token=token_of("sensor", channel),
        translation=xyz(view.mount),
        rotation=wxyz(view.mount),
        camera_intrinsic=[[pinhole.fx, 0.0, pinhole.cx], [0.0, pinhole.fy, pinhole.cy], [0.0, 0.0, 1.0]],
        view=name,
        video_camera={
            "model": "ftheta" if isinstance(view.model, FTheta) else "pinhole",
            "vector": view.model.vector().tolist(),
        },
    )
    to_vehicle = np.linalg.inv(view.mount)
    keys = np.array(list(samples))
    tokens = []
    for frame in range(labelled.frames):
        # The pose that puts this camera where it was drawn from, so that no noise of the vehicle's poses moves boxes.
        ego = view.poses[frame] @ to_vehicle
        ego[:3, 3] += offset
        token = token_of("picture", key, name, frame)
        records.add("ego_pose", token, timestamp=times[frame], rotation=wxyz(ego), translation=xyz(ego))
        place = picture_name(labelled.video, name, frame, frame in samples)
        records.add(
            "sample_data",
            token,
            # A picture between two key frames belongs to the later one, as in nuScenes.
            sample_token=samples[int(keys[np.searchsorted(keys, frame)])],
            ego_pose_token=token,
            calibrated_sensor_token=calibration,
            timestamp=times[frame],
            fileformat="jpg",
            is_key_frame=frame in samples,
            height=pinhole.height,
            width=pinhole.width,
            filename=place,
            prev="",
            next="",
            video_frame=frame,
            label_frame=labelled.first + frame,
            **({"original_filename": f"original/{place}"} if keep_original and rectified.maps else {}),
        )
        tokens.append(token)
    records.link("sample_data", tokens)
