"""What this machine can run, what is missing, and how to get it: a report in English and Chinese."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from jinja2 import Template

from dreamkit.download import catalogue, checkpoints, hub
from dreamkit.download.hub import Access
from dreamkit.download.progress import amount
from dreamkit.errors import DreamkitError
from dreamkit.setup import machine
from dreamkit.setup.guardrail_checks import PREFIX, guardrail_checks
from dreamkit.setup.machine import Check
from dreamkit.setup.params import SetupParams
from dreamkit.transfer import memory_needs
from dreamkit.transfer.presets import PRESETS
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
# Long paths are broken at any letter, Chinese words are not; the second column keeps its words on one line.
_PAGE = Template(
    """{% for table in tables %}<table>
<tr>{% for cell in table[0] %}<th style="text-align:left;white-space:nowrap">{{ cell }}</th>{% endfor %}</tr>
{% for row in table[1:] %}<tr>{% for cell in row %}<td style="text-align:left;vertical-align:top;
{%- if loop.index == 2 %}white-space:nowrap{% else %}overflow-wrap:anywhere;word-break:keep-all{% endif %}">
{{- cell }}</td>{% endfor %}</tr>
{% endfor %}</table>{% endfor %}
<p><b>{{ settings }}</b></p>""",
    autoescape=True,
)


@dataclass(frozen=True)
class Capability:
    """Whether one thing can be done on this machine.

    Attributes:
        capability: a key of NAMES.
        verdict: YES, PARTLY or NO.
        why: the reason.
        preset: for a 7B model, the preset that suits this machine's GPU; "" where none does.
    """

    capability: str
    verdict: str
    why: str
    preset: str = ""


@dataclass(frozen=True)
class SetupReport:
    """What is on this machine and what it can run.

    Attributes:
        checks: versions, devices, memory, disk, programs and access to the model files.
        verdicts: the capabilities, in the order of NAMES.
        settings: parameter -> value, as this machine should use it; "params" is a folder of parameter files.
    """

    checks: tuple[Check, ...]
    verdicts: tuple[Capability, ...]
    settings: dict[str, Any] = field(default_factory=dict)

    def can(self, capability: str) -> bool:
        """Whether a capability is there, at least partly."""
        return any(one.capability == capability and one.verdict != NO for one in self.verdicts)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "checks": [asdict(check) for check in self.checks],
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "settings": self.settings,
        }

    def _tables(self) -> list[list[tuple[str, ...]]]:
        """Checks and capabilities as rows of text, the first row the heading."""
        checks = [("what · 项目", "state · 状态", "found · 检测结果", "fix · 处理办法")]
        checks += [(check.name, STATES[check.state], check.value, check.fix) for check in self.checks]
        can = [("capability · 能力", "verdict · 结论", "why · 说明")]
        can += [(NAMES[one.capability], f"{one.verdict} · {CHINESE[one.verdict]}", one.why) for one in self.verdicts]
        return [checks, can]

    def _settings_line(self) -> str:
        values = ", ".join(f"{name}: {value}" for name, value in self.settings.items())
        return f"Settings for this machine · 本机建议设置: {values}"

    def __str__(self) -> str:
        lines = []
        for rows in self._tables():
            lines += [*aligned(rows), ""]
        return "\n".join([*lines, self._settings_line()])

    def _repr_html_(self) -> str:
        return _PAGE.render(tables=self._tables(), settings=self._settings_line())


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text, the first two columns padded, and what follows the third below it, after an arrow."""
    widths = [max(places(row[column]) for row in rows) for column in range(2)]
    lines = []
    for name, state, found, *below in rows:
        start = "  ".join(
            cell + " " * (width - places(cell)) for cell, width in zip((name, state), widths, strict=True)
        )
        lines += [f"{start}  {found}", *(f"{' ' * (sum(widths) + 4)}-> {cell}" for cell in below if cell)]
    return lines


def places(text: str) -> int:
    """Width of a text on a terminal, in Latin letters."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def examine(p: SetupParams) -> SetupReport:
    """Check this machine, the model files and, with `ask_hub`, this user's access to the repositories."""
    access = hub.look_up_all(catalogue.repositories(p.models, p.controls, True), (), ()) if p.ask_hub else []
    gpu = machine.gpu_check()
    checks = [machine.python_check(), machine.torch_check(), gpu, *machine.library_checks()]
    checks += filter(None, [machine.conda_header_check()])
    checks += [machine.ffmpeg_check(), memory_check(), *disk_checks(p, access), *login_checks(access)]
    guards = guardrail_checks(checkpoints.guardrail_root(p.checkpoints))
    checks += guards
    by_name = {check.name: check for check in checks}
    capabilities = [
        Capability("tiny", YES if by_name["PyTorch"].state == "ok" else NO, "CPU or GPU, no download"),
        *(stage_capability(stage, p, gpu) for stage in checkpoints.FOLDERS),
        styles_capability(by_name["vLLM"]),
        guardrail_capability(guards),
    ]
    return SetupReport(tuple(checks), tuple(capabilities), settings(capabilities))


def memory_check() -> Check:
    """Size of the main memory."""
    return Check("RAM", "ok", f"{machine.memory_bytes() / GIB:.0f} GiB")


def disk_checks(p: SetupParams, access: Sequence[Access]) -> list[Check]:
    """Free disk space against the size of the files that are still to be downloaded."""
    root = from_home(p.workspace if p.checkpoints == checkpoints.TINY else p.checkpoints)
    free = free_bytes(root)
    if not access:
        return [Check("disk", "ok", f"{amount(free)} free at {root}")]
    if unknown := [one.repository.name for one in access if not one.files]:
        about = amount(sum(one.repository.about_bytes() for one in access))
        need = f"{', '.join(p.models)} need about {about} in all by their numbers of parameters"
        value = f"{amount(free)} free at {root}; {need}, since there is no file list of {unknown[0]}"
        return [Check("disk", "note", value, "See the line of Hugging Face below.")]
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
    """Whether there is a token, and the access to each repository."""
    where = "HF_TOKEN or login" if hub.has_token() else "none"
    fix = "" if hub.has_token() else "hf auth login; needed for repositories behind a licence"
    checks = [Check("Hugging Face token", "ok" if hub.has_token() else "note", where, fix)]
    if access and all(one.state in (hub.NO_ANSWER, hub.OFFLINE) for one in access):
        access = access[:1]  # one line is enough: the network fails, not the repositories
    for one in access:
        state = "ok" if one.granted else "missing"
        advice = {
            hub.TO_ACCEPT: f"accept it at {one.page}",
            hub.NO_ANSWER: f"check the network; or set HF_ENDPOINT to a mirror of {hub.shown_endpoint()}",
            hub.OFFLINE: "unset HF_HUB_OFFLINE",
        }.get(one.state, "" if one.granted else "hf auth login")
        name = hub.shown_endpoint() if one.state in (hub.NO_ANSWER, hub.OFFLINE) else one.repository.name
        checks.append(Check(name, state, f"{one.state} {one.detail}".strip(), advice))
    return checks


def stage_capability(stage: str, p: SetupParams, gpu: Check) -> Capability:
    """Whether the 7B model of a stage runs here, and with which preset: GPU, bf16, memory, files.

    Args:
        stage: "single_view" or "multi_view".
        p: the parameters; of them the checkpoint folder and the controls.
        gpu: the result of `machine.gpu_check`.
    """
    if gpu.state != "ok":
        return Capability(stage, NO, f"needs an NVIDIA GPU: {gpu.value}")
    import torch

    props = torch.cuda.get_device_properties(0)
    if (props.major, props.minor) < BF16_FROM:
        return Capability(stage, NO, f"needs bf16, compute capability 8.0; this GPU has {props.major}.{props.minor}")
    need, here = memory_needs.need(stage, len(p.controls)), props.total_memory
    preset = memory_needs.fitting_preset(stage, len(p.controls), here)
    whole = f"exact needs {need.run / GIB:.1f} GiB, as measured on an H100; this GPU has {here / GIB:.1f}"
    if preset is None:
        smallest = f"{memory_needs.SMALLEST_PRESET[stage]}gb"
        return Capability(stage, NO, f"{whole}, less than the smallest preset {smallest} takes")
    try:
        checkpoints.needed(stage, checkpoints.folder(p.checkpoints), p.controls, {})
    except DreamkitError as error:
        return Capability(stage, NO, f"{error.message} Notebook 01 fetches them.", preset)
    if preset == "exact":
        return Capability(stage, YES, whole, preset)
    ram, host = machine.memory_bytes(), memory_needs.host_bytes(stage, len(p.controls))
    why = f"{whole}: preset {preset} keeps weights in host memory, {host / GIB:.0f} GiB of {ram / GIB:.0f}"
    return Capability(stage, YES if host < 0.8 * ram else PARTLY, why, preset)


def styles_capability(vllm: Check) -> Capability:
    """Whether captions can be rewritten: by the rules always, by a language model in this process with vLLM."""
    if vllm.state == "ok":
        return Capability("styles", YES, f"built-in rules, or a language model with vLLM {vllm.value}")
    return Capability(
        "styles", PARTLY, f"built-in rules, or a server; no language model in this process (vLLM: {vllm.value})"
    )


def guardrail_capability(guards: Sequence[Check]) -> Capability:
    """Which checks of the guardrail can run here.

    Args:
        guards: the result of `guardrail_checks`.
    """
    ready = [check.name.removeprefix(PREFIX) for check in guards if check.state == "ok"]
    lacking = [check.name.removeprefix(PREFIX) for check in guards if check.state != "ok"]
    if not lacking:
        return Capability("guardrail", YES, f"guardrail: full runs {', '.join(ready)}")
    why = f"not ready: {', '.join(lacking)}; a check that is asked for and cannot run blocks every result"
    return Capability("guardrail", PARTLY if ready else NO, f"ready: {', '.join(ready) or 'none'}; {why}")


def settings(capabilities: Sequence[Capability]) -> dict[str, Any]:
    """The parameters that suit this machine.

    Args:
        capabilities: what it can run.
    """
    presets = [one.preset for one in capabilities if one.capability in checkpoints.FOLDERS and one.verdict != NO]
    if presets:
        # Both stages run with the smaller one; it costs next to no time.
        preset = min(presets, key=lambda name: PRESETS[name].memory_gib or math.inf)
        return {"preset": preset, "attention": "auto", "params": "params/cosmos"}
    return {"preset": "exact", "checkpoints": checkpoints.TINY, "params": "params/demo"}
