"""Boxes at key frames as `instance` and `sample_annotation` records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dreamkit.rds.pinhole import Pinhole
from dreamkit.review.labelled import LabelledVideo
from dreamkit.review.nuscenes.categories import attribute_of, category_of, visibility_token
from dreamkit.review.nuscenes.records import Records, token_of, wxyz, xyz
from dreamkit.review.nuscenes.sweeps import KeySweep, points_inside
from dreamkit.review.nuscenes.visibility import visible_shares

UNTRACKED = "-1"
"""Track id of boxes that converters could not assign to a track; each is an instance of its own."""
UNKNOWN_POINTS = -1
"""`num_lidar_pts` where the labels have no LiDAR sweep; the devkit's evaluation leaves out boxes with 0 only."""


def add_annotations(
    records: Records,
    labelled: LabelledVideo,
    cameras: Mapping[str, Pinhole],
    samples: Mapping[int, str],
    offset: np.ndarray,
    sweeps: Mapping[int, KeySweep] | None = None,
) -> int:
    """Add the boxes of every key frame that lie in at least one picture.

    Args:
        records: the tables.
        labelled: the result with its labels.
        cameras: view -> the camera of its exported pictures.
        samples: key frame of the video -> token of its sample, ascending.
        offset: added to world coordinates, [3].
        sweeps: key frame -> its LiDAR sweep, whose points in each box are counted.

    Returns:
        Number of annotations added.
    """
    tracks: dict[str, list[str]] = {}
    kinds: dict[str, str] = {}
    boxes, key = labelled.boxes, labelled.video.key
    for frame, sample in samples.items():
        rows = labelled.boxes_at(frame)
        views = [(model, labelled.views[name].poses[frame]) for name, model in cameras.items()]
        points = sweeps[frame].world if sweeps and frame in sweeps else None
        shares, inside = visible_shares(boxes.pose[rows], boxes.size[rows], views)
        for row, share in zip(rows[inside].tolist(), shares[inside].tolist(), strict=True):
            track, kind = boxes.track[row], boxes.kind[row]
            name = f"{track} {frame}" if track == UNTRACKED else track
            category = category_of(kind)
            attribute = attribute_of(category, kind, bool(boxes.moving[row]))
            pose = boxes.pose[row].copy()
            pose[:3, 3] += offset
            length, width, height = boxes.size[row].tolist()
            instance = token_of("instance", key, name)
            token = records.add(
                "sample_annotation",
                token_of("annotation", key, name, frame),
                sample_token=sample,
                instance_token=instance,
                visibility_token=visibility_token(share),
                attribute_tokens=[token_of("attribute", attribute)] if attribute else [],
                translation=xyz(pose),
                size=[width, length, height],
                rotation=wxyz(pose),
                prev="",
                next="",
                num_lidar_pts=UNKNOWN_POINTS
                if points is None
                else points_inside(points, boxes.pose[row], boxes.size[row]),
                num_radar_pts=0,
                visible_share=round(share, 3),
            )
            tracks.setdefault(instance, []).append(token)
            kinds.setdefault(instance, kind)
    for instance, tokens in tracks.items():
        records.link("sample_annotation", tokens)
        _add_instance(records, instance, kinds[instance], tokens)
    return sum(map(len, tracks.values()))


def _add_instance(records: Records, token: str, kind: str, annotations: Sequence[str]) -> None:
    records.add(
        "instance",
        token,
        category_token=token_of("category", category_of(kind)),
        nbr_annotations=len(annotations),
        first_annotation_token=annotations[0],
        last_annotation_token=annotations[-1],
        label_type=kind,
    )
