"""Write accepted videos with their labels as a data set in nuScenes' form, which `nuscenes-devkit` loads."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import pandas as pd

from dreamkit.errors import DreamkitError
from dreamkit.review.export import guardrail_of, model_licence
from dreamkit.review.folders import MARK, accepted_videos, export_target, replaced_folder
from dreamkit.review.geometry import Limits, check_geometry
from dreamkit.review.labelled import LabelledVideo, read_labelled
from dreamkit.review.library import ReviewVideo
from dreamkit.review.nuscenes.card import nuscenes_card
from dreamkit.review.nuscenes.pictures import Rectified, rectified_view, write_frames
from dreamkit.review.nuscenes.records import Records, token_of
from dreamkit.review.nuscenes.street_map import StreetMap, street_map
from dreamkit.review.nuscenes.sweeps import key_sweeps, write_sweep
from dreamkit.review.nuscenes.tables import add_fixed, add_video, key_frames, picture_name
from dreamkit.workspace.files import write_json, write_text
from dreamkit.workspace.workspace import from_home

if TYPE_CHECKING:
    from dreamkit.review.session import Review

log = logging.getLogger(__name__)
Progress = Callable[[int, int], None]
"""Called with the pictures written and all pictures."""


_LIMITS = Limits()


@dataclass(frozen=True)
class NuscenesOptions:
    """How to write the data set.

    Attributes:
        version: folder of the tables, and what is given to the devkit.
        every: frames from one key frame to the next; 15 is two a second at 30 Hz, as in nuScenes.
        keep_original: also write the pictures of f-theta cameras as they are in the video, to `original/`.
        limits: what a view may be off by before it is left out; None checks nothing.

    Raises:
        DreamkitError: a value is out of range.
    """

    version: str = "v1.0-dreamkit"
    every: int = 15
    keep_original: bool = False
    limits: Limits | None = _LIMITS

    def __post_init__(self) -> None:
        if self.every < 1:
            raise DreamkitError(f"Key frames cannot be {self.every} frames apart.", "Give 1 or more; 15 is usual.")


@dataclass(frozen=True)
class NuscenesExport:
    """A written data set.

    Attributes:
        folder: its folder.
        counts: what -> how many.
        refused: video, or `video view` -> why it was left out.
        untold: `video view` -> why its edges cannot tell whether it fits; it is exported.
    """

    folder: Path
    counts: Mapping[str, int]
    refused: Mapping[str, str]
    untold: Mapping[str, str] = field(default_factory=dict)


def export_nuscenes(
    review: Review,
    folder: str,
    labels: str,
    options: NuscenesOptions = NuscenesOptions(),
    unjudged: bool = False,
    progress: Progress | None = None,
) -> NuscenesExport:
    """Write every accepted video as a scene of a data set in nuScenes' form.

    The folder appears whole or not at all; an earlier export in it is replaced.

    Args:
        review: the board with its verdicts.
        folder: the data set's folder.
        labels: the RDS-HQ folder that the condition videos were drawn from.
        options: how to write it.
        unjudged: also export videos without a verdict and without a flag.
        progress: called after each picture.

    Raises:
        DreamkitError: nothing is accepted, no accepted video has labels that fit, the folder has other files than an
            earlier export, or it cannot be written.
    """
    root = from_home(labels) if labels else Path()
    if not labels or not root.is_dir():
        raise DreamkitError(
            f"There is no label folder {root}." if labels else "A nuScenes export needs labels, and none are given.",
            "Give the RDS-HQ folder that the condition videos were rendered from.",
        )
    target = export_target(folder)
    accepted = accepted_videos(review, unjudged)
    found, refused, untold = _with_labels(accepted, root, options.limits)
    with replaced_folder(target) as partial:
        records, rows = Records(), []
        add_fixed(records)
        maps = {clip: _map_of(clip, found) for clip in sorted({video.video.chunk.clip for video in found})}
        done, total = 0, sum(len(video.views) * video.frames for video in found)
        for labelled in found:
            cameras = {name: rectified_view(view.model) for name, view in labelled.views.items()}
            by, street = accepted[labelled.video.key][1], maps[labelled.video.chunk.clip]
            provenance = _provenance(labelled, by, street)
            sweeps = key_sweeps(labelled, key_frames(labelled.frames, options.every))
            added = add_video(
                records, labelled, cameras, options.every, street.offset, provenance, options.keep_original, sweeps
            )
            for sweep in sweeps.values():
                write_sweep(partial, sweep)
            here = [name for name in labelled.views if f"{labelled.video.key} {name}" in untold]
            rows.append({**_row(labelled, provenance, added), "views_untold": here})
            for _ in _write_pictures(partial, records, labelled, cameras):
                done += 1
                if progress:
                    progress(done, total)
        for clip, street in maps.items():
            _write_map(partial, records, clip, street, found)
        records.write(partial / options.version)
        scenes = [row["name"] for row in records.tables["scene"].values()]
        write_json(partial / options.version / "splits.json", {"train": scenes})
        pd.DataFrame(rows).to_parquet(partial / "table.parquet", index=False)
        counts = _counts(records)
        videos = [labelled.video for labelled in found]
        card = nuscenes_card(
            counts,
            options.version,
            next(iter(maps)),
            found[0].hz,
            options.every,
            options.keep_original,
            sorted({model_licence(video) for video in videos}),
            sorted({guardrail_of(video) for video in videos}),
            refused,
            untold,
        )
        write_text(partial / "README.md", card)
        write_json(partial / MARK, {"form": "nuscenes", "videos": [video.key for video in videos], "refused": refused})
    return NuscenesExport(target, counts, refused, untold)


def _with_labels(
    accepted: Mapping[str, tuple[ReviewVideo, str]], root: Path, limits: Limits | None
) -> tuple[list[LabelledVideo], dict[str, str], dict[str, str]]:
    """The accepted videos with the views whose labels fit, what was left out and why, and what edges cannot tell.

    Raises:
        DreamkitError: no video is left; the message is that of the first.
    """
    found, refused, untold = [], {}, {}
    hint = "The overlay (dreamkit.review.overlay) shows labels and pictures; --no-check exports them all the same."
    for key, (video, _) in sorted(accepted.items()):
        try:
            labelled = read_labelled(video, root)
        except DreamkitError as error:
            refused[key], hint = error.message, error.hint
            continue
        checked = check_geometry(labelled, limits) if limits else {}
        faults = {name: view.fault for name, view in checked.items()}
        untold |= {f"{key} {name}": view.untold for name, view in checked.items() if view.untold and not view.fault}
        refused |= {f"{key} {name}": fault for name, fault in faults.items() if fault}
        if views := {name: view for name, view in labelled.views.items() if not faults.get(name)}:
            found.append(replace(labelled, views=views))
    for key, why in refused.items():
        log.warning("%s is not exported: %s", key, why)
    if not found:
        first, why = next(iter(refused.items()))
        raise DreamkitError(f"None of the {len(accepted)} accepted videos can be exported. {first}: {why}", hint)
    return found, refused, untold


def _map_of(clip: str, found: list[LabelledVideo]) -> StreetMap:
    """The map of a clip along the drives of its videos; a novel drive has another path than the recorded one."""
    videos = [labelled for labelled in found if labelled.video.chunk.clip == clip]
    drives = {labelled.path.tobytes(): labelled.path for labelled in videos}
    return street_map(clip, videos[0].layers, list(drives.values()))


def _provenance(labelled: LabelledVideo, by: str, street: StreetMap) -> dict[str, Any]:
    """Where a scene comes from, for its log record."""
    from dreamkit import __version__

    video, sidecar = labelled.video, dict(labelled.video.sidecar or {})
    oldest = min(view.video.stat().st_mtime for view in labelled.views.values())
    return {
        "synthetic": True,
        "result": video.key,
        "model": model_licence(video),
        "prompt": video.prompt,
        "seed": sidecar.get("seed"),
        "style": video.style,
        "stage": video.stage,
        "guardrail": guardrail_of(video),
        "accepted_by": by,
        "made": datetime.fromtimestamp(oldest, timezone.utc).date().isoformat(),
        "first_frame": labelled.first,
        "frames": labelled.frames,
        "labels_hz": labelled.hz,
        "video_fps": next(iter(labelled.views.values())).info.fps,
        "world_offset": street.offset.tolist(),
        "vehicle_pose": labelled.has_vehicle,
        "dreamkit": __version__,
        "sidecar": {key: sidecar[key] for key in ("identity", "checkpoints", "preset", "versions") if key in sidecar},
    }


def _row(labelled: LabelledVideo, provenance: Mapping[str, Any], added: Mapping[str, int]) -> dict[str, Any]:
    """A scene's row of the table."""
    simple = {key: value for key, value in provenance.items() if isinstance(value, str | int | float | bool)}
    seed = simple.pop("seed", None)
    return {
        "scene": labelled.video.key.replace("/", "__"),
        "clip": labelled.video.chunk.clip,
        "chunk": labelled.video.chunk.index,
        **simple,
        "seed": seed if isinstance(seed, int) and abs(seed) < 2**63 else None,
        "views": list(labelled.views),
        **added,
    }


def _write_pictures(root: Path, records: Records, labelled: LabelledVideo, cameras: Mapping[str, Rectified]) -> Any:
    """Write the pictures of a scene; yields once a picture."""
    filed = {row["filename"]: row for row in records.tables["sample_data"].values()}
    for name, rectified in cameras.items():
        places = []
        for frame in range(labelled.frames):
            options = [picture_name(labelled.video, name, frame, key_frame) for key_frame in (True, False)]
            places.append(next(filed[place] for place in options if place in filed))
        originals = [root / row["original_filename"] for row in places if "original_filename" in row]
        paths = [root / row["filename"] for row in places]
        yield from write_frames(labelled.views[name].video, labelled.frames, rectified, paths, originals)


def _write_map(root: Path, records: Records, clip: str, street: StreetMap, found: list[LabelledVideo]) -> None:
    """Write a clip's map picture and map expansion, and add its record."""
    place = f"maps/{clip}.png"
    (root / "maps" / "expansion").mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(root / place), street.picture):
        raise OSError(f"{place} cannot be written")
    write_text(root / "maps" / "expansion" / f"{clip}.json", json.dumps(street.layers))
    logs = [token_of("log", labelled.video.key) for labelled in found if labelled.video.chunk.clip == clip]
    records.add("map", token_of("map", clip), log_tokens=logs, category="semantic_prior", filename=place, location=clip)


def _counts(records: Records) -> dict[str, int]:
    """What the data set holds."""
    tables = records.tables
    names = {row["token"]: row["name"] for row in tables["category"].values()}
    kinds = Counter(
        names[tables["instance"][row["instance_token"]]["category_token"]]
        for row in tables["sample_annotation"].values()
    )
    pictures = [row for row in tables["sample_data"].values() if row["fileformat"] == "jpg"]
    sweeps = len(tables["sample_data"]) - len(pictures)
    return {
        "scenes": len(tables["scene"]),
        "key frames": len(tables["sample"]),
        "pictures": len(pictures),
        "of these at key frames": sum(row["is_key_frame"] for row in pictures),
        **({"LiDAR sweeps at key frames": sweeps} if sweeps else {}),
        "tracks": len(tables["instance"]),
        "boxes": len(tables["sample_annotation"]),
        **{f"boxes: {name}": count for name, count in sorted(kinds.items())},
    }
