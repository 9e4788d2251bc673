"""What a download will do: which files are right, elsewhere, wrong or missing, and who may have them."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dreamkit.download import catalogue, checkpoints, hub
from dreamkit.download.catalogue import Repository
from dreamkit.download.checksums import Finding, Verified
from dreamkit.download.hub import Access, Remote
from dreamkit.download.params import DownloadParams
from dreamkit.download.progress import Meter, amount
from dreamkit.errors import DreamkitError
from dreamkit.workspace.files import read_text
from dreamkit.workspace.workspace import from_home

HERE, ELSEWHERE, WRONG, MISSING = "here", "found elsewhere", "wrong", "to fetch"
ADVICE = {
    hub.TO_ACCEPT: "accept the licence on its page, logged in as the owner of your token",
    hub.NO_TOKEN: "make a token with read permission at {endpoint}/settings/tokens, then run `hf auth login` or set"
    " HF_TOKEN",
    hub.BAD_TOKEN: "the hub does not know this token any more; run `hf auth login` again",
    hub.NOT_FOUND: "it is private, or the mirror in HF_ENDPOINT does not have it",
    hub.NO_ANSWER: "check the network and proxy; where {endpoint} cannot be reached, set HF_ENDPOINT to a mirror",
    hub.OFFLINE: "unset HF_HUB_OFFLINE to fetch",
}


@dataclass(frozen=True)
class Item:
    """One file of a repository: where it belongs, what the hub says of it, and how it stands."""

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
    """What is there, what is to be fetched, and who may have it."""

    root: Path
    access: tuple[Access, ...]
    items: tuple[Item, ...]
    verified: Verified = field(repr=False)

    @property
    def todo(self) -> list[Item]:
        """Files that are not right and in place."""
        return [item for item in self.items if item.state != HERE]

    @property
    def to_fetch(self) -> list[Item]:
        """Files that must come over the network."""
        return [item for item in self.items if item.state in (MISSING, WRONG)]

    def bytes(self, items: Sequence[Item]) -> int:
        """How much they are, as far as the hub said."""
        return sum(item.remote.size for item in items if item.remote)

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Repository, access, licence, files in place, still to fetch: a row each."""
        rows = []
        for access in self.access:
            mine = [item for item in self.items if item.repository == access.repository]
            missing = [item for item in mine if item.state in (MISSING, WRONG)]
            size = amount(self.bytes(missing)) if any(item.remote for item in missing) else "size unknown"
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
        notes = [f"{item.state}: {item.name}" + (f" {item.note}" if item.note else "") for item in self._told()]
        return "\n".join([f"Into {self.root}:", *lines, *notes, *self._guardrail()])

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
        notes = [f"{item.state}: {item.name} {item.note}" for item in self._told()]
        rest = "".join(f"<li>{html.escape(line)}</li>" for line in (*notes, *self.refusals(), *self._guardrail()))
        return f"<p>Into {html.escape(str(self.root))}:</p><table><tr>{head}</tr>{body}</table><ul>{rest}</ul>"

    def _told(self) -> list[Item]:
        return [item for item in self.items if item.state in (WRONG, ELSEWHERE) or (item.state == HERE and item.note)]

    def _guardrail(self) -> list[str]:
        """That fetching the guardrail's files does not make it run."""
        asked = any(access.repository.name == catalogue.GUARDRAIL for access in self.access)
        return [f"guardrail: {catalogue.MODEL_USES['guardrail']}"] if asked else []

    def refusals(self) -> list[str]:
        """One line for each repository that files are wanted from and that cannot be had."""
        wanted = {item.repository.name for item in self.to_fetch}
        lines = []
        for access in self.access:
            if not access.granted and (access.repository.name in wanted or not access.repository.needed):
                advice = ADVICE[access.state].format(endpoint=hub.endpoint())
                lines.append(f"{access.state}: {access.page} - {advice}")
        return lines


def plan(p: DownloadParams) -> DownloadPlan:
    """Ask the hub, look at the disk; fetches nothing.

    Raises:
        DreamkitError: a clip list that cannot be read, a clip or file that the hub does not have.
    """
    data_root = from_home(p.datasets)
    if p.checkpoints == checkpoints.TINY:  # the kit brings it along
        root, repositories = checkpoints.folder(checkpoints.TINY), []
        for stage in set(p.models) & set(checkpoints.FOLDERS):
            checkpoints.needed(stage, root, p.controls, {})
    else:
        root = from_home(p.checkpoints)
        repositories = catalogue.repositories(p.models, p.controls, p.long_videos)
    if set(p.data) - {"example"}:
        repositories.append(Repository(catalogue.RDS_HQ, (), ("*",), catalogue.ON_PAGE, "dataset"))
    if "example" in p.data:
        repositories.append(Repository(catalogue.EXAMPLE, (), ("*",), catalogue.ON_PAGE, "dataset"))
    parts = [part for part in p.data if part != "example"]
    access = hub.look_all(repositories, read_clips(p.clips), parts)
    verified = Verified(root, p.again)
    items: list[Item] = []
    with Meter("checking", 0) as meter:
        for one in access:
            items += _items(one, root, data_root, verified, meter)
    verified.save()
    return DownloadPlan(root, tuple(access), tuple(items), verified)


def read_clips(clips: Sequence[str]) -> list[str]:
    """Clip names; one that ends in .txt or .json is a file of them, a line each or a list.

    Raises:
        DreamkitError: a file that cannot be read, or holds something else.
    """
    names: list[str] = []
    for clip in clips:
        if not clip.endswith((".txt", ".json")):
            names.append(clip)
            continue
        path = from_home(clip)
        text = read_text(path, "clip list")
        try:
            listed = json.loads(text) if clip.endswith(".json") else text.split()
        except json.JSONDecodeError as error:
            raise DreamkitError(f"The clip list {path} is not valid JSON (line {error.lineno}).", "") from None
        if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
            raise DreamkitError(f"The clip list {path} is no list of names.", 'Write ["clip", "clip"].')
        names += listed
    return list(dict.fromkeys(names))


def _place(repository: Repository, root: Path, data_root: Path) -> Path:
    if repository.kind == "model":
        return root / repository.name
    return data_root / ("rds_hq" if repository.name == catalogue.RDS_HQ else "example")


def _items(access: Access, root: Path, data_root: Path, verified: Verified, meter: Meter) -> Iterator[Item]:
    repository = access.repository
    if access.granted:
        files = repository.choose(list(access.files))
        if lacking := repository.lacking(list(access.files)):
            raise DreamkitError(
                f"{access.page} has no {', '.join(lacking)}.",
                "The repository changed, or the mirror in HF_ENDPOINT is not complete.",
            )
    else:  # what is here already may still be all that is needed
        files = [file for file in repository.needed if "*" not in file]
    folder = _place(repository, root, data_root)
    for file in files:
        remote = access.files.get(file)
        yield _look(repository, file, folder / file, remote, root, verified, meter)


def _look(
    repository: Repository,
    file: str,
    path: Path,
    remote: Remote | None,
    root: Path,
    verified: Verified,
    meter: Meter,
) -> Item:
    def check(at: Path) -> Finding:
        meter.grow(at.stat().st_size)
        return verified.check(at, remote, repository.md5(file), meter.add)

    wrong = ""
    if path.is_file():
        finding = check(path)
        if not finding.problem:
            return Item(repository, file, path, remote, HERE, note=finding.note)
        wrong = finding.problem
    if repository.kind == "model":
        others = [from_home(checkpoints.UPSTREAM_FOLDER) / repository.name / file, hub.in_cache(repository, file)]
        for other in others:
            if other is not None and other.is_file() and other != path and not check(other).problem:
                return Item(repository, file, path, remote, ELSEWHERE, other, f"at {other}")
    return Item(repository, file, path, remote, WRONG if wrong else MISSING, note=wrong)
