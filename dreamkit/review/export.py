"""Export accepted videos as a dataset folder: videos, prompts, condition videos, poses and labels, a table, a card."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import pandas as pd

from dreamkit.errors import DreamkitError
from dreamkit.review.card_head import card_head
from dreamkit.review.facts import model_of_video
from dreamkit.review.folders import MARK, accepted_videos, export_target, replaced_folder
from dreamkit.review.library import ReviewVideo
from dreamkit.review.measures.definitions import MEASURES
from dreamkit.workspace.files import write_json, write_text
from dreamkit.workspace.workspace import from_home

if TYPE_CHECKING:
    from dreamkit.review.session import Review

_CARD = """{count} videos were accepted by a human reviewer with dreamkit.

| folder or file | what |
| --- | --- |
| `table.parquet`, `table.csv` | one row a video: prompt, style, seed, paths, poses and labels where known, measures |
| `videos/` | one mp4 a view |
| `controls/` | the condition videos they were made from |
| `labels/` | RDS-HQ labels and camera poses of the clips, where they were at hand |

Read the table with its videos' paths, which are relative to this folder:

```python
from datasets import load_dataset

table = load_dataset(".", split="train")
print(table[0]["style"], table[0]["video_front_wide_120fov"])
```

Models and licences:

{models}

Guardrail: {guardrail}
"""


def model_licence(video: ReviewVideo) -> str:
    """The model that made a video and its licence, see `facts.model_of_video`."""
    return str(model_of_video(video))


def guardrail_of(video: ReviewVideo) -> str:
    """The guardrail note of the sidecar, or `unknown`."""
    record = (video.sidecar or {}).get("guardrail")
    if isinstance(record, Mapping):
        return str(record.get("note") or record.get("ran") or "unknown")
    return str(record) if record else "unknown"


def without_folders(value: Any) -> Any:
    """A sidecar without the folders of the disk that it was made on: of every absolute path the name alone."""
    if isinstance(value, Mapping):
        return {name: without_folders(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_folders(inner) for inner in value]
    if isinstance(value, str) and (PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute()):
        return PurePosixPath(PureWindowsPath(value).as_posix()).name
    return value


def _copy(source: Path, root: Path, place: str) -> str:
    target = root / place
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
    return place


def _row(video: ReviewVideo, measured: Mapping[str, Any], by: str, root: Path, labels: Path | None) -> dict[str, Any]:
    name = video.key.replace("/", "__")
    row: dict[str, Any] = {
        "name": name,
        "clip": video.chunk.clip,
        "chunk": video.chunk.index,
        "style": video.style,
        "stage": video.stage,
        "prompt": video.prompt,
        "seed": seed if type(seed := (video.sidecar or {}).get("seed")) is int and abs(seed) < 2**63 else None,
        "accepted_by": by,
        "model": model_licence(video),
        "synthetic": True,
        "frames": measured.get("frames"),
        "fps": measured.get("fps"),
    }
    for camera, path in video.views.items():
        row[f"video_{camera}"] = _copy(path, root, f"videos/{name}/{camera}.mp4")
    for control, paths in video.conditions.items():
        for camera, path in paths.items():
            place = f"controls/{control}/{camera}/{video.chunk.clip}_{video.chunk.index}.mp4"
            row[f"{control}_{camera}"] = place if (root / place).exists() else _copy(path, root, place)
    found = sorted(labels.glob(f"*/{glob.escape(video.chunk.clip)}.*")) if labels else []
    for path in found:
        place = f"labels/{path.parent.name}/{path.name}"
        if not (root / place).exists():
            _copy(path, root, place)
    row["labels"] = [f"labels/{path.parent.name}/{path.name}" for path in found if path.parent.name != "pose"]
    row["poses"] = next((f"labels/pose/{path.name}" for path in found if path.parent.name == "pose"), None)
    if video.sidecar is not None:
        place = f"videos/{name}/sidecar.json"
        write_json(root / place, without_folders(video.sidecar))
        row["sidecar"] = place
    return row | {measure.key: measured.get(measure.key) for measure in MEASURES}


def export_accepted(review: Review, folder: str, labels: str = "", unjudged: bool = False) -> Path:
    """Copy every accepted video with its conditions and labels into a dataset folder.

    The folder appears whole or not at all; an earlier export in it is replaced. A verdict on an older version of
    a video does not count.

    Args:
        review: the board with its verdicts.
        folder: the dataset folder.
        labels: an RDS-HQ folder; files named after an exported clip are copied.
        unjudged: also export the videos without a verdict and without a flag.

    Returns:
        The dataset folder.

    Raises:
        DreamkitError: nothing is accepted, the folder has other files than an earlier export, or it cannot be written.
    """
    source = from_home(labels) if labels else None
    if source and not source.is_dir():
        raise DreamkitError(f"There is no label folder {source}.", "Give an RDS-HQ folder, or leave labels empty.")
    target = export_target(folder)
    accepted = accepted_videos(review, unjudged)
    with replaced_folder(target) as partial:
        rows = [
            _row(video, review.rows.get(key, {}), by, partial, source) for key, (video, by) in sorted(accepted.items())
        ]
        table = pd.DataFrame(rows)
        table.to_parquet(partial / "table.parquet", index=False)
        table.to_csv(partial / "table.csv", index=False)
        models = "\n".join(f"- {name}" for name in sorted(set(table["model"])))
        guards = "; ".join(sorted({guardrail_of(video) for video, _ in accepted.values()}))
        head = card_head("Synthetic driving videos", "videos", "video")
        write_text(partial / "README.md", head + _CARD.format(count=len(rows), models=models, guardrail=guards))
        write_json(partial / MARK, {"videos": sorted(accepted)})
    return target
