"""Plan a download: which files are in place, elsewhere, wrong or missing, and which repositories are accessible."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dreamkit.download import catalogue, checkpoints, hub
from dreamkit.download.catalogue import Repository
from dreamkit.download.checksums import ChecksumResult, check_file, checksum_memory
from dreamkit.download.hub import Access, Remote
from dreamkit.download.params import DownloadParams
from dreamkit.download.progress import Meter, amount
from dreamkit.errors import DreamkitError
from dreamkit.workspace.file_memory import FileMemory
from dreamkit.workspace.files import read_text
from dreamkit.workspace.parsing import parse_json
from dreamkit.workspace.workspace import from_home

_LIST_HINT = 'Write a list of names, ["clip_a", "clip_b"].'
HERE, ELSEWHERE, WRONG, MISSING = "here", "found elsewhere", "wrong", "to fetch"
ADVICE = {
    hub.TO_ACCEPT: "accept the licence on its page, logged in as the owner of your token",
    hub.NO_TOKEN: "make a token with read permission at {official}/settings/tokens, then run `hf auth login` or set"
    " HF_TOKEN",
    hub.BAD_TOKEN: "the hub rejects this token; run `hf auth login` again",
    hub.NOT_FOUND: "it is private or renamed",
    hub.NO_ANSWER: "check the network and proxy; where {endpoint} cannot be reached, set HF_ENDPOINT to a mirror",
    hub.OFFLINE: "unset HF_HUB_OFFLINE to fetch",
}
AT_A_MIRROR = {
    hub.TO_ACCEPT: ADVICE[hub.TO_ACCEPT] + "; licences are kept at {official}/{name}",
    hub.NOT_FOUND: "the mirror in HF_ENDPOINT does not have it, or it is private; unset HF_ENDPOINT for {official}",
    hub.NO_ANSWER: "check the network and proxy; unset HF_ENDPOINT, or set HF_ENDPOINT to a mirror that answers",
}
"""Advice where HF_ENDPOINT is not the official hub."""


@dataclass(frozen=True)
class Item:
    """One file of a repository.

    Attributes:
        repository: the repository.
        file: path in the repository.
        path: its place on disk.
        remote: size and checksum on the hub, or None when they are unknown.
        state: HERE, ELSEWHERE, WRONG or MISSING.
        found: where the file is, for ELSEWHERE.
        note: what is wrong with the file, or a remark.
    """

    repository: Repository
    file: str
    path: Path
    remote: Remote | None
    state: str
    found: Path | None = None
    note: str = ""

    @property
    def name(self) -> str:
        """`owner/repository/file`."""
        return f"{self.repository.name}/{self.file}"


@dataclass(frozen=True)
class DownloadPlan:
    """The files in place, the files to fetch, and the access states of their repositories.

    Attributes:
        root: the checkpoint folder.
        access: access state of each repository.
        items: all files of the repositories.
        memory: checksums of files that are right.
    """

    root: Path
    access: tuple[Access, ...]
    items: tuple[Item, ...]
    memory: FileMemory = field(repr=False)

    @property
    def todo(self) -> list[Item]:
        """Files that are wrong or not in place."""
        return [item for item in self.items if item.state != HERE]

    @property
    def to_fetch(self) -> list[Item]:
        """Files that must be fetched from the hub."""
        return [item for item in self.items if item.state in (MISSING, WRONG)]

    def total_bytes(self, items: Sequence[Item]) -> int:
        """Total size of files in bytes, without those of unknown size."""
        return sum(item.remote.size for item in items if item.remote)

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """A row for each repository: name, access, licence, files in place, files to fetch."""
        rows = []
        for access in self.access:
            mine = [item for item in self.items if item.repository == access.repository]
            missing = [item for item in mine if item.state in (MISSING, WRONG)]
            size = amount(self.total_bytes(missing)) if any(item.remote for item in missing) else "size unknown"
            rows.append(
                (
                    access.repository.name,
                    access.state + (f" ({access.detail})" if access.detail else ""),
                    access.repository.licence,
                    f"{len(mine) - len(missing)} of {len(mine)}",
                    f"{len(missing)} files, {size}" if missing else "",
                )
            )
        return rows

    def __str__(self) -> str:
        if not self.access:
            return f"{self.root} has every file: nothing to download."
        rows = [("repository", "access", "licence", "files here", "to fetch"), *self.rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        lines = ["  ".join(f"{cell:<{widths[k]}}" for k, cell in enumerate(row)).rstrip() for row in rows]
        notes = [f"{item.state}: {item.name}" + (f" {item.note}" if item.note else "") for item in self._notable()]
        return "\n".join([f"Into {self.root}:", *lines, *notes, *self._lacking(), *self._guardrail_note()])

    def _repr_html_(self) -> str:
        if not self.access:
            return f"<p>{html.escape(str(self))}</p>"
        names = ("repository", "access", "licence", "files here", "to fetch")
        head = "".join(f'<th style="text-align:left">{name}</th>' for name in names)
        body = ""
        for access, row in zip(self.access, self.rows(), strict=True):
            link = f'<a href="{html.escape(access.page)}" target="_blank">{html.escape(row[0])}</a>'
            cells = "".join(f'<td style="text-align:left">{html.escape(cell)}</td>' for cell in row[1:])
            body += f'<tr><td style="text-align:left;overflow-wrap:anywhere">{link}</td>{cells}</tr>'
        notes = [f"{item.state}: {item.name} {item.note}" for item in self._notable()]
        notes += [*self._lacking(), *self.refusals(), *self._guardrail_note()]
        rest = "".join(f"<li>{html.escape(line)}</li>" for line in notes)
        return f"<p>Into {html.escape(str(self.root))}:</p><table><tr>{head}</tr>{body}</table><ul>{rest}</ul>"

    def _notable(self) -> list[Item]:
        """Files that are wrong, elsewhere, or have a note."""
        return [item for item in self.items if item.state in (WRONG, ELSEWHERE) or (item.state == HERE and item.note)]

    def _lacking(self) -> list[str]:
        """What was asked for and no repository has, a line each."""
        return [line for access in self.access for line in access.lacking]

    def _guardrail_note(self) -> list[str]:
        """A line on what the guardrail's files are for and which libraries it needs; none without them."""
        included = any(access.repository.name == catalogue.GUARDRAIL for access in self.access)
        uses = catalogue.MODEL_USES["guardrail"]
        return [f"guardrail: {uses}; `dreamkit doctor` says which libraries it lacks"] if included else []

    def refused(self) -> list[Access]:
        """The repositories that are not accessible and have files to fetch."""
        needed = {item.repository.name for item in self.to_fetch}
        return [
            access
            for access in self.access
            if not access.granted and (access.repository.name in needed or not access.repository.needed)
        ]

    def refusals(self) -> list[str]:
        """A line for each cause why repositories with files to fetch are not accessible."""
        causes: dict[tuple[str, str, str], list[str]] = {}
        for access in self.refused():
            advice = AT_A_MIRROR.get(access.state) if hub.endpoint() != hub.official() else None
            text = (advice or ADVICE[access.state]).format(
                endpoint=hub.shown_endpoint(), official=hub.official(), name=access.repository.name
            )
            text = f"{access.detail}; {text}" if access.detail else text
            # A licence is accepted, and a token made for it, page by page; other causes are the same for all.
            own_line = access.repository.name if access.state in (hub.TO_ACCEPT, hub.NO_TOKEN) else ""
            causes.setdefault((access.state, text, own_line), []).append(access.page)
        return [f"{state}: {', '.join(pages)} - {advice}" for (state, advice, _), pages in causes.items()]


def plan(p: DownloadParams) -> DownloadPlan:
    """Compare the files on disk with those on the hub; nothing is fetched.

    Args:
        p: the parameters.

    Raises:
        DreamkitError: a clip list is not readable, or the hub lacks a clip or a file.
    """
    data_root = from_home(p.datasets)
    if p.checkpoints == checkpoints.TINY:  # it is part of the package
        root, repositories = checkpoints.folder(checkpoints.TINY), []
        for stage in set(p.models) & set(checkpoints.FOLDERS):
            checkpoints.needed(stage, root, p.controls, {})
    else:
        root = from_home(p.checkpoints)
        repositories = catalogue.repositories(p.models, p.controls, p.long_videos)
    if set(p.data) - {"example"}:
        repositories.append(Repository(catalogue.RDS_HQ, (), ("**",), catalogue.ON_PAGE, "dataset"))
    if "example" in p.data:
        repositories.append(Repository(catalogue.EXAMPLE, (), ("**",), catalogue.ON_PAGE, "dataset"))
    parts = [part for part in p.data if part != "example"]
    access = hub.look_up_all(repositories, read_clips(p.clips), parts)
    memory = checksum_memory(root, p.again)
    items: list[Item] = []
    with Meter("checking", 0) as meter:
        for one in access:
            items += _items(one, root, data_root, memory, meter)
    memory.save()
    return DownloadPlan(root, tuple(access), tuple(items), memory)


def read_clips(clips: Sequence[str]) -> list[str]:
    """Clip names without repetitions, those of list files included.

    Args:
        clips: names, and paths of .txt files with a name a line or of .json files with a list.

    Raises:
        DreamkitError: a file is not readable, or is no list of names.
    """
    names: list[str] = []
    for clip in clips:
        if not clip.endswith((".txt", ".json")):
            names.append(clip)
            continue
        path = from_home(clip)
        text = read_text(path, "clip list")
        listed = parse_json(text, f"The clip list {path}") if clip.endswith(".json") else text.split()
        if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
            raise DreamkitError(f"The clip list {path} is no list of names.", _LIST_HINT)
        names += listed
    return list(dict.fromkeys(names))


def _folder(repository: Repository, root: Path, data_root: Path) -> Path:
    """Folder on disk of a repository's files."""
    if repository.kind == "model":
        return root / repository.name
    return data_root / ("rds_hq" if repository.name == catalogue.RDS_HQ else "example")


def _items(access: Access, root: Path, data_root: Path, memory: FileMemory, meter: Meter) -> Iterator[Item]:
    """The needed files of a repository with their states."""
    repository = access.repository
    if access.granted:
        files = repository.choose(list(access.files))
        if missing := repository.missing(list(access.files)):
            raise DreamkitError(
                f"{access.page} has no {', '.join(missing)}.",
                "Unset HF_ENDPOINT if its mirror is not complete; else the repository changed, so update dreamkit.",
            )
    else:  # all of them may be in place already
        files = [file for file in repository.needed if "*" not in file]
    folder = _folder(repository, root, data_root)
    for file in files:
        remote = access.files.get(file)
        yield _find_item(repository, file, folder / file, remote, memory, meter)


def _find_item(
    repository: Repository,
    file: str,
    path: Path,
    remote: Remote | None,
    memory: FileMemory,
    meter: Meter,
) -> Item:
    """The state of one file: in its place, in upstream's folder, or in the Hugging Face cache."""

    def check(at: Path) -> ChecksumResult:
        meter.add_total(at.stat().st_size)
        return check_file(memory, at, remote, repository.md5(file), meter.add)

    wrong = ""
    if path.is_file():
        result = check(path)
        if not result.problem:
            return Item(repository, file, path, remote, HERE, note=result.note)
        wrong = result.problem
    if repository.kind == "model":
        others = [from_home(checkpoints.UPSTREAM_FOLDER) / repository.name / file, hub.in_cache(repository, file)]
        for other in others:
            if other is not None and other.is_file() and other != path and not check(other).problem:
                return Item(repository, file, path, remote, ELSEWHERE, other, f"at {other}")
    return Item(repository, file, path, remote, WRONG if wrong else MISSING, note=wrong)
