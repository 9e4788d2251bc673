"""Long front videos made in several ways, and six views over them: seams, drift, motion, sharpness, cost.

`python -m dreamkit.bench.long` runs with torch, numpy, safetensors and transformers alone, on scenes that --write drew
on a machine with all packages.
"""

from __future__ import annotations

import argparse
import io
import json
import time
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dreamkit.bench.long_measures import drift, measure_long, ratios_at_beginnings, seam, series
from dreamkit.bench.long_scenes import LongScene, long_scenes, write_scenes
from dreamkit.bench.long_ways import LongSettings, LongVideo, Way
from dreamkit.bench.measure import first_device, machine, peak_gib, reset_peak, synchronize, table
from dreamkit.bench.six_ways import SIX_WAYS, LongViews, SixWay
from dreamkit.transfer import folders
from dreamkit.transfer.config import bundle_configs
from dreamkit.transfer.pipeline import MultiViewPipeline, SingleViewPipeline
from dreamkit.workspace.files import append_line, write_json

WAYS = {
    way.name: way
    for way in (
        Way("separate", "separate"),
        Way("blend", "blend"),
        Way("blend-late-fade", "blend", fade=8),
        Way("blend-wide", "blend", ramp=99),
        Way("blend-ramp3", "blend", ramp=3),
        Way("blend-ramp2", "blend", ramp=2),
        Way("blend-5", "blend", overlap=5),
        Way("blend-7", "blend", overlap=7),
        Way("blend-noise16", "blend", repeat_noise=16),
        Way("known", "known"),
        Way("known-again", "known", again=0.5),
        Way("known-first-again", "known", overlap=0, again=0.5),
        Way("both", "both"),
        Way("both-again", "both", again=0.5),
        Way("shift", "shift", overlap=0),
    )
}
STRIPS = range(-3, 4)
"""Frames around a border that are kept."""


def measure_ways(
    pipeline: SingleViewPipeline,
    scenes: Iterable[LongScene],
    ways: Sequence[Way],
    settings: LongSettings,
    output: Path,
    strips: int,
    until: float,
) -> list[dict[str, Any]]:
    """Make each scene's video in every way; appends a row each to `rows.jsonl` and keeps frames of the first scenes.

    Args:
        pipeline: the model.
        scenes: the scenes.
        ways: the ways.
        settings: steps, guidance, control weight, and the seed of the first scene.
        output: folder for rows and strips.
        strips: number of scenes whose frames around frame 120 and 240 are kept, and every 20th frame.
        until: `time.monotonic` after which no video is begun.
    """
    rows = []
    for number, scene in enumerate(scenes):
        arrays = scene.read()
        of_scene = replace(settings, seed=settings.seed + scene.noise_seed)
        video = LongVideo(pipeline, scene.caption, arrays["hdmap"], of_scene)
        for way in ways:
            if time.monotonic() > until:
                return rows
            reset_peak(video.device)
            began = time.perf_counter()
            made, borders = video.make(way)
            synchronize(video.device)
            seconds = time.perf_counter() - began
            row = {
                "scene": scene.name,
                "style": scene.style,
                "way": way.name,
                "evaluations": video.evaluations,
                "seconds": round(seconds, 2),
                **peak_gib(video.device),
                **measure_long(made, borders, pipeline.window_frames, arrays, video.device),
            }
            append_line(output / "rows.jsonl", json.dumps(row, allow_nan=False))
            rows.append(row)
            if number < strips:
                around = [b + n for b in (*range(120, len(made) - 4, 120), *borders) for n in STRIPS]
                at = sorted({n for n in (*around, *range(0, len(made), 20)) if n < len(made)})
                keep_pictures(output / "pictures.zip", {f"{scene.name}/{way.name}/{n:03d}": made[n] for n in at})
            told = {name: round(row[name], 2) for name in ("drift", "drift_window", "motion", "sharp", "psnr")}
            edges = f"border {row['seam']['border']:.2f}, p95 {row['seam']['p95']:.2f}"
            print(f"{scene.name} {way.name:18s} {seconds:6.1f} s, {edges}, {told}", flush=True)
    return rows


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line a way: means over the scenes that it and `separate` have in common.

    `same_frames` and `other_frames` are changes as shares of those of `separate` in the same frames, where latents
    begin: at the way's borders, and elsewhere.
    """
    base = {row["scene"]: row for row in rows if row["way"] == "separate"}
    lines = []
    for way in dict.fromkeys(row["way"] for row in rows):
        mine = [row for row in rows if row["way"] == way and row["scene"] in base]
        if not mine:
            continue

        def mean(get: Any, of: list[dict[str, Any]] = mine) -> float:
            return float(np.mean([get(row) for row in of]))

        def ratio(key: str, of: list[dict[str, Any]] = mine) -> float:
            return float(np.mean([row[key] / base[row["scene"]][key] for row in of]))

        drifts = mean(lambda row: row["drift"]) / mean(lambda row: base[row["scene"]]["drift_window"])
        ratios = [ratios_at_beginnings(row["seam"], base[row["scene"]]["seam"]) for row in mine]
        at_borders, elsewhere = (None if None in of else float(np.mean(of)) for of in zip(*ratios, strict=True))
        lines.append(
            {
                "way": way,
                "scenes": len(mine),
                "border": mean(lambda row: row["seam"]["border"]),
                "largest_border": max(row["seam"]["border_most"] for row in mine),
                "other_latents": mean(lambda row: row["seam"]["latent"]),
                "p95": mean(lambda row: row["seam"]["p95"]),
                "p95_all": mean(lambda row: row["seam"]["p95_all"]),
                "same_frames": at_borders,
                "other_frames": elsewhere,
                "above_p95": mean(lambda row: row["seam"]["above_p95"]),
                "other_latents_above": mean(lambda row: row["seam"]["latent_above_p95"]),
                "luminance_step": mean(lambda row: row["luminance"]["border"] / row["luminance"]["steps"]),
                "sharpness_step": mean(lambda row: row["sharpness"]["border"] / row["sharpness"]["steps"]),
                "drift": drifts,
                "motion": ratio("motion"),
                "sharp": ratio("sharp"),
                "psnr": mean(lambda row: row["psnr"] - base[row["scene"]]["psnr"]),
                "evaluations": ratio("evaluations"),
                "seconds": ratio("seconds"),
            }
        )
    return lines


def measure_six(
    single: SingleViewPipeline,
    multi: MultiViewPipeline,
    scenes: Iterable[LongScene],
    ways: Sequence[SixWay],
    settings: LongSettings,
    output: Path,
    until: float,
) -> list[dict[str, Any]]:
    """Six views over long joined front videos, made in every way; appends a row each to `six_rows.jsonl`."""
    rows = []
    for scene in scenes:
        arrays = scene.read()
        of_scene = replace(settings, seed=settings.seed + scene.noise_seed)
        front, _ = LongVideo(single, scene.caption, arrays["hdmap"], of_scene).make(WAYS["blend"])
        video = LongViews(multi, scene.caption, front, arrays["six_hdmap"], of_scene)
        for way in ways:
            if time.monotonic() > until:
                return rows
            reset_peak(video.device)
            began = time.perf_counter()
            views, borders = video.make(way)
            synchronize(video.device)
            row = {
                "scene": scene.name,
                "style": scene.style,
                "way": way.name,
                "evaluations": video.evaluations,
                "seconds": round(time.perf_counter() - began, 2),
                **peak_gib(video.device),
                **six_measures(views, arrays, borders, video.device),
            }
            append_line(output / "six_rows.jsonl", json.dumps(row, allow_nan=False))
            rows.append(row)
            print({key: value for key, value in row.items() if not isinstance(value, list)}, flush=True)
            at = np.arange(0, views.shape[1], 30)
            named = {f"{scene.name}_{way.name}/{n:03d}_{v}": views[v, n] for n in at for v in range(len(views))}
            keep_pictures(output / "six.zip", named)
    return rows


def six_measures(
    views_VTHWC: np.ndarray,
    arrays: dict[str, np.ndarray],
    borders: Sequence[int],
    device: torch.device = torch.device("cpu"),
) -> dict[str, Any]:
    """Views' agreement in the first and the last 57 frames, and side views' colour, sharpness, motion and borders.

    The agreement is the colour difference of surfaces that front and cross cameras share, over the front's mean.
    `borders` are the frames after which the windows that make a frame change.
    """
    frames, pairs = arrays["six_measured"], arrays["pairs"]
    small = views_VTHWC[:, frames]
    by_frame: list[list[float]] = [[] for _ in frames]
    for index in range(len(frames)):
        for view in (1, 2):
            at = pairs[(pairs[:, 0] == index) & (pairs[:, 1] == view)]
            if not len(at):
                continue
            mine = small[0, index][at[:, 2], at[:, 3]].astype(np.float32)
            theirs = small[view, index][at[:, 4], at[:, 5]].astype(np.float32)
            by_frame[index].append(float(np.abs(mine - theirs).mean() / max(mine.mean(), 1.0)))
    first = [value for frame, of in zip(frames, by_frame, strict=True) for value in of if frame < 57]
    last = [value for frame, of in zip(frames, by_frame, strict=True) for value in of if frame >= 57]
    of_views = [series(view, device) for view in views_VTHWC]
    drifts = [drift(one["colour"], 57) for one in of_views]
    seams = [seam(one["change"], borders) for one in of_views[1:]]
    ends = [(one["sharp"][:48].mean(), one["sharp"][-48:].mean()) for one in of_views]
    return {
        "apart_first": float(np.mean(first)),
        "apart_last": float(np.mean(last)),
        "drift": float(np.mean([whole for whole, _ in drifts[1:]])),
        "drift_window": float(np.mean([single for _, single in drifts[1:]])),
        "drift_front": drifts[0][0],
        "sharp_last_to_first": float(np.mean([last / first for first, last in ends[1:]])),
        "sharp_front": float(ends[0][1] / ends[0][0]),
        "sharp": float(np.mean([one["sharp"].mean() for one in of_views[1:]])),
        "sharp_by_24": np.mean([_means(one["sharp"], 24) for one in of_views[1:]], axis=0).round(3).tolist(),
        "motion": float(np.mean([np.delete(one["change"], list(borders)).mean() for one in of_views[1:]])),
        "border": float(np.mean([one["border"] for one in seams])),
        "p95": float(np.mean([one["p95"] for one in seams])),
        "views": [{"drift": d, "sharp": [float(e) for e in end]} for d, end in zip(drifts, ends, strict=True)],
    }


def _means(values: np.ndarray, length: int) -> np.ndarray:
    """Means of successive parts of a series; what is left at the end is left out."""
    return values[: len(values) // length * length].reshape(-1, length).mean(1)


def keep_pictures(path: Path, pictures: Mapping[str, np.ndarray]) -> None:
    """Add pictures, uint8 [H, W, 3], to a zip file, as JPEG where OpenCV is installed and else as arrays."""
    with zipfile.ZipFile(path, "a") as file:
        for name, picture in pictures.items():
            try:
                import cv2

                file.writestr(f"{name}.jpg", cv2.imencode(".jpg", picture[..., ::-1])[1].tobytes())
            except ImportError:
                buffer = io.BytesIO()
                np.save(buffer, picture)
                file.writestr(f"{name}.npy", buffer.getvalue())


def long_parser() -> argparse.ArgumentParser:
    """Command line options."""
    found = argparse.ArgumentParser(prog="dreamkit bench long", description=__doc__)
    add = found.add_argument
    add("--scenes", type=Path, default=Path("outputs/long/scenes"), help="folder of the scenes' arrays")
    add("--write", type=int, metavar="COUNT", help="only draw so many scenes into that folder, and stop")
    add("--first", type=int, default=0, help="number of the first scene to draw")
    add("--scene-seed", type=int, default=0, help="of the scenes to draw")
    add("--frames", type=int, default=361, help="frames of the scenes to draw")
    add("--six", type=int, default=0, help="number of scenes to draw with six views, or to make six views of")
    add("--skip", type=int, default=0, help="leave out so many scenes, from the first")
    add("--count", type=int, help="make so many scenes; all if left out")
    add("--ways", default="separate,blend,known-again,both-again,shift", help=f"comma-separated, of {','.join(WAYS)}")
    add("--six-ways", default="extension,joined-1", help=f"comma-separated, of {','.join(SIX_WAYS)}")
    add("--steps", type=int, default=20, help="sampling steps")
    add("--guidance", type=float, default=0.0, help="guidance; the tiny bundle was trained to run without")
    add("--weight", type=float, default=1.0, help="control weight")
    add("--seed", type=int, default=7, help="of the first scene's noise")
    add("--seconds", type=float, default=1e9, help="begin no video after that time")
    add("--strips", type=int, default=2, help="number of scenes whose frames around borders are kept")
    add(
        "--checkpoints",
        type=Path,
        default=folders.TINY_FOLDER,
        help="model folder, also for --write; the tiny bundle if left out",
    )
    add("--output", type=Path, default=Path("outputs/long"), help="folder of the results")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Draw scenes, or make and measure videos and print the table; returns exit code 0."""
    asked = long_parser().parse_args(arguments)
    until = time.monotonic() + asked.seconds
    if asked.write:
        numbers = range(asked.first, asked.first + asked.write)
        front, view = ((config.height, config.width) for config in bundle_configs(asked.checkpoints))
        write_scenes(asked.scenes, asked.scene_seed, numbers, asked.frames, (front, view), asked.six)
        return 0
    asked.output.mkdir(parents=True, exist_ok=True)
    device = first_device()
    scenes = long_scenes(asked.scenes)[asked.skip :][: asked.count]
    settings = LongSettings(asked.steps, asked.guidance, asked.weight, asked.seed)
    head = {"machine": machine(device), "options": asdict(settings)}
    single = SingleViewPipeline.from_checkpoints(asked.checkpoints)
    if asked.six:
        multi = MultiViewPipeline.from_checkpoints(asked.checkpoints)
        ways = [SIX_WAYS[name] for name in asked.six_ways.split(",")]
        rows = measure_six(single, multi, scenes[: asked.six], ways, settings, asked.output, until)
        write_json(asked.output / "six.json", {**head, "rows": rows})
        return 0
    ways = [WAYS[name] for name in asked.ways.split(",")]
    rows = measure_ways(single, scenes, ways, settings, asked.output, asked.strips, until)
    lines = summary(rows)
    print(table(lines), flush=True)
    write_json(asked.output / "long.json", {**head, "summary": lines, "rows": rows})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
