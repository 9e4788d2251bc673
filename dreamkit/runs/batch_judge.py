"""Which results of a batch are done, judged by files and sidecars on disk alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from dreamkit.captions import files as caption_files
from dreamkit.errors import DreamkitError
from dreamkit.generate.guardrail_step import blocked_before, guard_of
from dreamkit.generate.input_videos import InputVideo, inspect_video
from dreamkit.generate.jobs import why_no_front
from dreamkit.generate.outputs import result_status
from dreamkit.generate.params import Params
from dreamkit.generate.plan import find_jobs
from dreamkit.generate.results import MADE
from dreamkit.runs.batch_params import STAGE_MODELS, render_options
from dreamkit.runs.batch_units import BLOCKED, DONE, FAILED, GENERATION, LEFT, Target
from dreamkit.workspace.failures import Failure, failure_of
from dreamkit.workspace.file_memory import FileMemory
from dreamkit.workspace.log_levels import without_warnings
from dreamkit.workspace.video import VideoInfo
from dreamkit.workspace.workspace import STAGES, Chunk, Workspace, from_home


@dataclass(frozen=True)
class Judgement:
    """Whether a result is done.

    Attributes:
        state: DONE, LEFT, FAILED or BLOCKED.
        reason: why it failed or is blocked.
        windows: windows that it is generated in, where they are known; else 0.
    """

    state: str
    reason: Failure | None = None
    windows: int = 0


def remembered_video(memory: FileMemory, path: Path, fps: float = 0) -> InputVideo:
    """As `inspect_video`, without reading a file again that has not changed."""
    info = memory.value(path, f"shown at {fps:g}", lambda: asdict(inspect_video(path, fps).info))
    stored = info["stored"] and tuple(info["stored"])
    return InputVideo(path, VideoInfo(**{**info, "stored": stored}), memory.checksum(path))


@dataclass(frozen=True)
class Judge:
    """Judges results of one workspace.

    Attributes:
        ws: the workspace of the results.
        labels: the RDS-HQ folder of the stage render; may be empty.
        memory: properties and checksums of videos.
        presets: result -> memory preset that a batch fell back to, where it is not the parameter's.
    """

    ws: Workspace
    labels: str
    memory: FileMemory
    presets: Mapping[Target, str] = field(default_factory=dict)

    def judge(self, stage: str, params: Mapping[str, Any], targets: Sequence[Target]) -> dict[Target, Judgement]:
        """Result -> judgement, for results of one stage with the same parameters, whose earlier stages are over.

        Args:
            stage: stage of the batch.
            params: parameters of the stage; those of the workspace and the seed included.
            targets: the results.

        Raises:
            DreamkitError: what no result can be made without, such as a checkpoint file.
        """
        if stage not in GENERATION:
            return {target: self._without_style(stage, params, target) for target in targets}
        with without_warnings("dreamkit"):
            return self._generated(stage, params, targets)

    def _without_style(self, stage: str, params: Mapping[str, Any], target: Target) -> Judgement:
        try:
            check = {"render": self._rendered, "captions": self._captioned, "styles": self._styled}.get(stage)
            done = check(params, target.clip) if check else self._reviewed()
        except DreamkitError as error:
            return Judgement(FAILED, failure_of(error))
        return Judgement(DONE if done else LEFT)

    def _rendered(self, params: Mapping[str, Any], clip: str) -> bool:
        from dreamkit.rds.plan import choose_cameras, is_done, plan_clip
        from dreamkit.rds.rig import read_camera_poses

        options, root = render_options(params, (clip,)), from_home(self.labels)
        poses = read_camera_poses(root, clip, list(choose_cameras(root, clip, options)), options.pose_folder)
        lengths = {camera: len(track) for camera, track in poses.items()}
        return all(is_done(video) for video in plan_clip(root, self.ws.root, clip, options, lengths))

    def _captioned(self, _: Mapping[str, Any], clip: str) -> bool:
        return any((self.ws.captions / f"{clip}{suffix}").is_file() for suffix in (".txt", ".json"))

    def _styled(self, params: Mapping[str, Any], clip: str) -> bool:
        found = caption_files.read_captions(self.ws.captions, clip)
        return set(params.get("styles") or caption_files.STYLES) <= set(found)

    def _reviewed(self) -> bool:
        """Whether the report is newer than every result."""
        report = self.ws.review_report
        made = [path for stage in STAGES for path in (self.ws.root / stage).glob("[!.]*.json")]
        return report.is_file() and report.stat().st_mtime >= max((path.stat().st_mtime for path in made), default=0)

    def _generated(self, stage: str, params: Mapping[str, Any], targets: Sequence[Target]) -> dict[Target, Judgement]:
        model = STAGE_MODELS[stage]
        judged = {target: Judgement(LEFT) for target in targets}
        judged |= self._without_caption(targets)
        if stage == "multi":
            judged |= self._without_front([target for target in targets if judged[target].state == LEFT])
        able = [target for target in targets if judged[target].state == LEFT]
        for (styles, preset), group in self._grouped(able, str(params.get("preset", ""))).items():
            clips = list(dict.fromkeys(target.clip for target in group))
            own = {"clips": clips, "styles": list(styles), "skip_bad": True, **({"preset": preset} if preset else {})}
            p = model(**{**params, **own})
            assert isinstance(p, Params)
            plan, problems = find_jobs(self.ws, p, partial(remembered_video, self.memory))
            guard = guard_of(p.guardrail, p.checkpoints, p.device, p.guardrail_stride, self.ws)
            versions = cache(guard.known_versions)
            jobs = {(job.chunk, job.style): job for job in plan.jobs}
            for target in group:
                job = jobs.get((Chunk(target.clip, target.chunk), target.style))
                if job is None:
                    if faults := problems.get(target.clip):
                        judged[target] = Judgement(FAILED, failure_of(faults[0]))
                    continue
                state = result_status(self.ws, plan, job, self.memory.checksum)
                done = DONE if state != MADE else LEFT  # the user's own video is kept
                judged[target] = Judgement(done, windows=len(job.windows.starts))
                if done == LEFT and (entry := blocked_before(self.ws, plan, job, versions)):
                    judged[target] = Judgement(BLOCKED, _blocked(entry.get("reason") or entry.get("note")))
        return judged

    def _without_caption(self, targets: Sequence[Target]) -> dict[Target, Judgement]:
        """The results of clips whose captions cannot be read, or lack the style; the clip's others can be made."""
        asked: dict[str, dict[str, None]] = {}
        for target in targets:
            asked.setdefault(target.clip, {})[target.style] = None
        faults: dict[tuple[str, str], Failure] = {}
        for clip, styles in asked.items():
            try:
                found = caption_files.read_captions(self.ws.captions, clip)
            except DreamkitError as error:
                faults |= dict.fromkeys(((clip, style) for style in styles), failure_of(error))
                continue
            for style in styles.keys() - found.keys():
                try:
                    caption_files.choose_styles(found, [style], clip)
                except DreamkitError as error:
                    faults[clip, style] = failure_of(error)
        keys = {target: (target.clip, target.style) for target in targets}
        return {target: Judgement(FAILED, faults[key]) for target, key in keys.items() if key in faults}

    def _without_front(self, targets: Sequence[Target]) -> dict[Target, Judgement]:
        """The results whose front video was blocked, or is missing although the stage that makes it is over."""
        found = {}
        for target in targets:
            chunk = Chunk(target.clip, target.chunk)
            front = self.ws.single_view(chunk, target.style)
            if blocked := why_no_front(self.ws, chunk, target.style):
                found[target] = Judgement(BLOCKED, _blocked(blocked))
            elif not front.is_file():
                reason = Failure("NoFront", f"The front video {front} is missing; the other views follow it.")
                found[target] = Judgement(FAILED, reason)
        return found

    def _grouped(self, targets: Sequence[Target], preset: str) -> dict[tuple[tuple[str, ...], str], list[Target]]:
        """(styles, preset) -> results of the clips that have just these styles with this preset."""
        styles: dict[tuple[str, str], list[str]] = {}
        for target in targets:
            found = styles.setdefault((target.clip, self.presets.get(target, preset)), [])
            if target.style not in found:
                found.append(target.style)
        groups: dict[tuple[tuple[str, ...], str], list[Target]] = {}
        for target in targets:
            used = self.presets.get(target, preset)
            groups.setdefault((tuple(sorted(styles[target.clip, used])), used), []).append(target)
        return groups


def _blocked(reason: object) -> Failure:
    return Failure("Blocked", str(reason or "The guardrail refused it."))
