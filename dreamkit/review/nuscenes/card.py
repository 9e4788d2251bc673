"""The data set card of a nuScenes-form export: what it is, counts, licences, how to load it, what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dreamkit.review.card_head import card_head

_CARD = """It is no part of nuScenes and is not affiliated with it; only the form of the
tables is nuScenes'.

| | |
| --- | --- |
{counts}

## Load it

```python
from nuscenes.nuscenes import NuScenes
from nuscenes.map_expansion import map_api

nusc = NuScenes(version="{version}", dataroot=".")
nusc.render_sample(nusc.sample[0]["token"])
map_api.locations.append("{location}")  # the devkit names nuScenes' own four cities
street = map_api.NuScenesMap(dataroot=".", map_name="{location}")
```

`datasets.load_dataset("<this folder>")` reads `table.parquet`, one row a scene.

## What to know

- Frame i of a generated video belongs to frame i of its condition video. Time stamps are those of the labels
  ({hz:g} Hz), so that speeds are right; the rate that a video file states is in `log.provenance`. Dates are made up.
- Key frames: every {every} frames, and the last frame of a scene. Boxes are interpolated from the labels; a track that
  was not labelled for a while has no boxes there.
- Pictures of f-theta cameras are rectified to the widest pinhole picture without a black border;
  `calibrated_sensor.video_camera` has the camera of the video itself.{original}
- `ego_pose` is that of each picture: it puts the camera where the condition was drawn from. Global coordinates are the
  clip's world moved by `log.provenance.world_offset`.
- Visibility counts points of a box's outside that lie in a picture and behind no other labelled box. Boxes in no
  picture are left out.
- LIDAR_TOP, at key frames only, has the recorded sweeps of the labels where they hold any: points of the recorded
  drive, not of what the pictures show. Elsewhere `num_lidar_pts` is -1; loaders that keep boxes with
  `num_lidar_pts > 0` drop those, and the devkit's views from above (`render_annotation`) need LIDAR_TOP.
- Object types without a nuScenes category have `static.other`; `instance.label_type` is the type of the labels.
- The drivable area is estimated along the drive from the road boundaries; lanes and road segments are not labelled.

## Models and licences

{models}

Labels and map: those of the clips, under the licence that they came with.

Guardrail: {guardrail}
{refused}{untold}"""


_UNTOLD = """
## Not checked by edges

The condition videos of these views fit the labels; whether the generated pictures do, their edges cannot tell. Look at
the boxes over the pictures before you use them.

"""


def nuscenes_card(
    counts: Mapping[str, int],
    version: str,
    location: str,
    hz: float,
    every: int,
    keep_original: bool,
    models: Sequence[str],
    guardrail: Sequence[str],
    refused: Mapping[str, str],
    untold: Mapping[str, str],
) -> str:
    """The card as Markdown.

    Args:
        counts: what -> how many.
        version: folder of the tables.
        location: name of one map.
        hz: frames of the labels a second.
        every: frames from one key frame to the next.
        keep_original: whether pictures that are not rectified are in `original/`.
        models: models and their licences.
        guardrail: notes of what checked the videos.
        refused: video or view that was left out -> why.
        untold: view whose edges cannot tell whether it fits its labels -> why.
    """
    values: dict[str, Any] = {
        "counts": "\n".join(f"| {what} | {count:,} |" for what, count in counts.items()),
        "original": " The pictures as generated are in `original/`." if keep_original else "",
        "models": "\n".join(f"- {name}" for name in models),
        "guardrail": "; ".join(guardrail),
        "refused": "".join(["\n## Left out\n\n", *(f"- {key}: {why}\n" for key, why in refused.items())])
        if refused
        else "",
        "untold": "".join([_UNTOLD, *(f"- {key}: {why}\n" for key, why in untold.items())]) if untold else "",
    }
    head = card_head("Synthetic driving scenes in nuScenes' form", "pictures", "nuscenes")
    return head + _CARD.format(version=version, location=location, hz=hz, every=every, **values)
