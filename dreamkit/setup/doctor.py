"""What this machine can run, what is missing, and how to get it: one table, in English and Chinese."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from dreamkit.download import catalogue, checkpoints, hub
from dreamkit.download.hub import Access
from dreamkit.download.progress import amount
from dreamkit.errors import DreamkitError
from dreamkit.setup import machine
from dreamkit.setup.machine import Check
from dreamkit.setup.params import SetupParams
from dreamkit.transfer import memory_needs
from dreamkit.workspace.sizes import GIB, free_bytes
from dreamkit.workspace.workspace import from_home

YES, PARTLY, NO = "yes", "partly", "no"
CHINESE = {YES: "可用", PARTLY: "部分可用", NO: "不可用"}
STATES = {"ok": "ok · 正常", "note": "note · 可选", "missing": "missing · 缺失"}
NAMES = {
    "tiny": "tiny bundle · 微型模型",
    "single_view": "single view · 前视视频",
    "multi_view": "six views · 六路环视",
    "styles": "style rewriting · 风格改写",
    "guardrail": "guardrail · 安全护栏",
}
BF16_FROM = (8, 0)  # compute capability


@dataclass(frozen=True)
class Verdict:
    """Whether one thing can be done here, and why not."""

    capability: str
    verdict: str
    why: str


@dataclass(frozen=True)
class Report:
    """All that the doctor found."""

    checks: tuple[Check, ...]
    verdicts: tuple[Verdict, ...]
    settings: dict[str, Any] = field(default_factory=dict)

    def can(self, capability: str) -> bool:
        """Whether something can be done, at least partly."""
        return any(one.capability == capability and one.verdict != NO for one in self.verdicts)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "checks": [asdict(check) for check in self.checks],
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "settings": self.settings,
        }

    def _tables(self) -> list[list[tuple[str, ...]]]:
        found = [("what · 项目", "state · 状态", "found · 检测结果", "fix · 处理办法")]
        found += [(check.name, STATES[check.state], check.value, check.fix) for check in self.checks]
        can = [("capability · 能力", "verdict · 结论", "why · 说明")]
        can += [(NAMES[one.capability], f"{one.verdict} · {CHINESE[one.verdict]}", one.why) for one in self.verdicts]
        return [found, can]

    def _settings(self) -> str:
        told = ", ".join(f"{name}: {value}" for name, value in self.settings.items())
        return f"Settings for this machine · 本机建议设置: {told}"

    def __str__(self) -> str:
        lines = []
        for rows in self._tables():
            for head, *rest in rows:
                lines.append(f"{head}: " + " | ".join(filter(None, rest)))
            lines.append("")
        return "\n".join([*lines, self._settings()])

    def _repr_html_(self) -> str:
        parts = []
        for head, *rows in self._tables():
            top = "".join(f'<th style="text-align:left;white-space:nowrap">{html.escape(cell)}</th>' for cell in head)
            broken = "overflow-wrap:anywhere;word-break:keep-all"  # a Chinese word is not torn apart, a long path is
            styles = [broken, "white-space:nowrap", broken, broken]
            body = "".join(
                "<tr>"
                + "".join(
                    f'<td style="text-align:left;vertical-align:top;{style}">{html.escape(cell)}</td>'
                    for style, cell in zip(styles, row, strict=False)
                )
                + "</tr>"
                for row in rows
            )
            parts.append(f"<table><tr>{top}</tr>{body}</table>")
        return "".join(parts) + f"<p><b>{html.escape(self._settings())}</b></p>"


def examine(p: SetupParams) -> Report:
    """Look at the machine, the model files and, when `ask_hub`, at what the hub lets this user have."""
    access = hub.look_all(catalogue.repositories(p.models, p.controls, True), (), ()) if p.ask_hub else []
    gpu = machine.gpu_check()
    checks = [machine.python_check(), machine.torch_check(), gpu, *machine.library_checks()]
    checks += filter(None, [machine.conda_header_check()])
    checks += [machine.ffmpeg_check(), memory_check(), *disk_checks(p, access), *login_checks(access)]
    by_name = {check.name: check for check in checks}
    verdicts = [
        Verdict("tiny", YES if by_name["PyTorch"].state == "ok" else NO, "CPU or GPU, no download"),
        *(stage_verdict(stage, p, gpu) for stage in checkpoints.FOLDERS),
        styles_verdict(by_name["vLLM"]),
        Verdict(
            "guardrail", NO, "this version runs none, whatever files are here: look at prompts and videos yourself"
        ),
    ]
    return Report(tuple(checks), tuple(verdicts), settings(verdicts, by_name["Transformer Engine"]))


def memory_check() -> Check:
    """Main memory."""
    return Check("RAM", "ok", f"{machine.memory_bytes() / GIB:.0f} GiB")


def disk_checks(p: SetupParams, access: Sequence[Access]) -> list[Check]:
    """Free space against what is still to be downloaded."""
    root = from_home(p.workspace if p.checkpoints == checkpoints.TINY else p.checkpoints)
    free = free_bytes(root)
    if not access:
        return [Check("disk", "ok", f"{amount(free)} free at {root}")]
    if unknown := [one.repository.name for one in access if not one.files]:
        value = f"{amount(free)} free at {root}; what the models need is not known: no list of {unknown[0]}"
        return [Check("disk", "note", value, "See the hub's line below.")]
    total = here = 0
    for one in access:
        for file in one.repository.choose(list(one.files)):
            path, size = root / one.repository.name / file, one.files[file].size
            total += size
            here += size if path.is_file() and path.stat().st_size == size else 0
    left = total - here
    value = f"{amount(free)} free at {root}; {', '.join(p.models)} need {amount(total)}, {amount(left)} still to come"
    fits = left <= free
    return [Check("disk", "ok" if fits else "missing", value, "" if fits else "Set checkpoints to a larger disk.")]


def login_checks(access: Sequence[Access]) -> list[Check]:
    """The token, and what the hub says of each repository."""
    where = "HF_TOKEN or login" if hub.has_token() else "none"
    fix = "" if hub.has_token() else "hf auth login; needed for repositories behind a licence"
    checks = [Check("Hugging Face token", "ok" if hub.has_token() else "note", where, fix)]
    if access and all(one.state in (hub.NO_ANSWER, hub.OFFLINE) for one in access):
        access = access[:1]  # the network is at fault, not the repositories
    for one in access:
        state = "ok" if one.granted else "missing"
        advice = {
            hub.TO_ACCEPT: f"accept it at {one.page}",
            hub.NO_ANSWER: f"check the network; or set HF_ENDPOINT to a mirror of {hub.endpoint()}",
            hub.OFFLINE: "unset HF_HUB_OFFLINE",
        }.get(one.state, "" if one.granted else "hf auth login")
        name = hub.endpoint() if one.state in (hub.NO_ANSWER, hub.OFFLINE) else one.repository.name
        checks.append(Check(name, state, f"{one.state} {one.detail}".strip(), advice))
    return checks


def stage_verdict(stage: str, p: SetupParams, gpu: Check) -> Verdict:
    """Whether the 7B model of a stage runs here: GPU, bf16, memory against what was measured, files."""
    if gpu.state != "ok":
        return Verdict(stage, NO, f"needs an NVIDIA GPU: {gpu.value}")
    import torch

    props = torch.cuda.get_device_properties(0)
    if (props.major, props.minor) < BF16_FROM:
        return Verdict(stage, NO, f"needs bf16, compute capability 8.0; this GPU has {props.major}.{props.minor}")
    need, here = memory_needs.need(stage, len(p.controls)), props.total_memory
    told = (
        f"{need.forward / GIB:.1f} GiB at the peak of a forward, as measured on an H200; this GPU has {here / GIB:.1f}"
    )
    if here < need.forward:
        return Verdict(stage, NO, told)
    try:
        checkpoints.needed(stage, checkpoints.folder(p.checkpoints), p.controls, {})
    except DreamkitError as error:
        return Verdict(stage, NO, f"{error.message} Notebook 01 fetches them.")
    if here < need.run:
        return Verdict(stage, PARTLY, f"{told}, less than the {need.run / GIB:.1f} in which whole videos were made")
    return Verdict(stage, YES, told)


def styles_verdict(vllm: Check) -> Verdict:
    """Rules always; a language model in this process when vLLM imports."""
    if vllm.state == "ok":
        return Verdict("styles", YES, f"built-in rules, or a language model with vLLM {vllm.value}")
    return Verdict(
        "styles", PARTLY, f"built-in rules, or a server; no language model in this process (vLLM: {vllm.value})"
    )


def settings(verdicts: Sequence[Verdict], engine: Check) -> dict[str, Any]:
    """The parameters that this machine should use."""
    stages = [one.verdict for one in verdicts if one.capability in checkpoints.FOLDERS and one.verdict != NO]
    if stages:
        told = {"preset": "exact", "attention": "te" if engine.state == "ok" else "auto", "params": "params/cosmos"}
        return told | ({"offload": True} if PARTLY in stages else {})
    return {"preset": "exact", "checkpoints": checkpoints.TINY, "params": "params/demo"}
