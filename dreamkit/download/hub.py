"""The Hugging Face hub: access state and file list of a repository, and the download of one file."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from dreamkit.download.catalogue import RDS_HQ, Repository
from dreamkit.download.hub_api import (
    Remote,
    RepositoryPages,
    endpoint,
    has_token,
    official,
    offline,
    read_remote,
    shown_endpoint,
    user_token,
)
from dreamkit.download.rds_listing import clip_files, lacking_files
from dreamkit.download.web import WebError, download, open_client
from dreamkit.errors import first_line
from dreamkit.workspace.file_names import check_relative
from dreamkit.workspace.partials import NO_LINKS
from dreamkit.workspace.processes import end_with_parent

log = logging.getLogger(__name__)
OPEN, ACCEPTED = "open to all", "licence accepted"
TO_ACCEPT, NO_TOKEN, BAD_TOKEN = "licence to accept", "token lacking", "token refused"
NOT_FOUND, NO_ANSWER, OFFLINE = "not found", "no answer", "offline"
__all__ = [
    "Access",
    "Remote",
    "endpoint",
    "fetch_file",
    "has_token",
    "look_up_access",
    "look_up_all",
    "official",
    "shown_endpoint",
]


@dataclass(frozen=True)
class Access:
    """Access state of a repository for this user.

    Attributes:
        repository: the repository.
        state: one of OPEN, ACCEPTED, TO_ACCEPT, NO_TOKEN, BAD_TOKEN, NOT_FOUND, NO_ANSWER, OFFLINE.
        detail: reason of the state, or empty.
        revision: the commit of the listed files.
        files: file name -> size and checksum.
        lacking: what was asked for and is not there, a line each.
    """

    repository: Repository
    state: str
    detail: str = ""
    revision: str = ""
    files: dict[str, Remote] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()

    @property
    def granted(self) -> bool:
        """Whether files can be fetched."""
        return self.state in (OPEN, ACCEPTED)

    @property
    def page(self) -> str:
        """URL of its page, where a licence is accepted."""
        folder = "datasets/" if self.repository.kind == "dataset" else ""
        return f"{shown_endpoint()}/{folder}{self.repository.name}"


def look_up_all(repositories: Sequence[Repository], clips: Sequence[str], parts: Sequence[str]) -> list[Access]:
    """`look_up_access` of several repositories at the same time, in their order."""
    if user_token().secret and not has_token():
        log.warning(
            "the token is not sent to %s, because others can read what goes over http; a mirror with https gets it",
            shown_endpoint(),
        )
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda repository: look_up_access(repository, clips, parts), repositories))


def look_up_access(repository: Repository, clips: Sequence[str] = (), parts: Sequence[str] = ()) -> Access:
    """Request the access state, revision and file list of a repository.

    Args:
        repository: the repository.
        clips: for the RDS-HQ data set, names of clips.
        parts: for the RDS-HQ data set, keys of catalogue.DATA_USES.

    Raises:
        DreamkitError: the data set has no such clip, or the list has a file name that leads out of its folder.
    """
    if offline():
        return Access(repository, OFFLINE, "HF_HUB_OFFLINE is set")
    token = user_token()
    try:
        with open_client() as client:
            api = RepositoryPages(client, token, f"{endpoint()}/api/{repository.kind}s/{repository.name}")
            return _look_up(api, repository, clips, parts)
    except WebError as error:
        if error.code == "GatedRepo":
            return Access(repository, TO_ACCEPT if has_token() else NO_TOKEN, error.redirect)
        if error.status == 401 and has_token():
            return Access(repository, BAD_TOKEN, error.redirect)
        if error.status in (401, 404):
            return Access(repository, NOT_FOUND)
        return Access(repository, NO_ANSWER, error.reason[:300])
    except (KeyError, TypeError, AttributeError, ValueError):
        return Access(repository, NO_ANSWER, f"{shown_endpoint()} answers with something else than the hub's lists")


def _look_up(api: RepositoryPages, repository: Repository, clips: Sequence[str], parts: Sequence[str]) -> Access:
    # A full list of the data set has hundreds of thousands of names.
    info = api.value("?expand=gated&expand=sha" if repository.name == RDS_HQ else "?blobs=true")
    if info.get("gated"):
        api.value("/auth-check")
    lacking: list[str] = []
    if repository.name == RDS_HQ:
        files = clip_files(api, info["sha"], clips, parts)
        lacking = lacking_files(files, clips, parts)
    else:
        files = {file["rfilename"]: read_remote(file) for file in info.get("siblings") or ()}
    for file in files:
        check_relative(file, f"The hub {shown_endpoint()}")
    return Access(repository, ACCEPTED if info.get("gated") else OPEN, "", info["sha"], files, tuple(lacking))


def in_cache(repository: Repository, file: str) -> Path | None:
    """Path of a file in the Hugging Face cache, or None."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository.name, file, repo_type=repository.kind)
    return Path(found) if isinstance(found, str) else None


def _open_incomplete(path: Path) -> IO[bytes]:
    """Open an incomplete file for reading and appending, made when missing; a link in its place is not followed."""
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | NO_LINKS, 0o666)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(handle)
        raise FileExistsError(errno.EEXIST, "another program's file is in the place of the incomplete one", str(path))
    return os.fdopen(handle, "ab+")


def quiet_worker() -> None:
    """Prepare a worker process: it ends with its parent, and leaves Ctrl-C to it."""
    end_with_parent()


def fetch_file(name: str, kind: str, file: str, revision: str, folder: str, remote: Remote | None) -> tuple[str, str]:
    """Fetch one file, continuing an incomplete one of an earlier run.

    Args:
        name: name of the repository.
        kind: "model" or "dataset".
        file: path in the repository.
        revision: the listed commit.
        folder: where the file is written, under its own name; while incomplete it ends in `.incomplete`.
        remote: size and checksum on the hub, or None.

    Returns:
        The path and an empty text, or an empty text and the reason of the failure.
    """
    from huggingface_hub import hf_hub_url

    path = Path(folder) / check_relative(file, f"The hub {shown_endpoint()}")
    # The name has the checksum, so that a file that changed on the hub is not continued.
    mark = (remote.checksum if remote and remote.checksum else revision).split(":")[-1][:16]
    if not mark.isalnum() or not mark.isascii():  # whatever a mirror sends becomes part of a file name here
        mark = hashlib.sha256(mark.encode("utf-8", "replace")).hexdigest()[:16]
    incomplete = path.with_name(f"{path.name}.{mark}.incomplete")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        url = hf_hub_url(name, file, repo_type=kind, revision=revision)
        with open_client() as client, _open_incomplete(incomplete) as part:
            download(client, url, user_token(), part, remote.size if remote else None, file)
            part.flush()
            os.fsync(part.fileno())
        incomplete.replace(path)
    except WebError as error:
        if error.status in (401, 403):
            return "", "; ".join(filter(None, ("the hub refuses it to this user", error.redirect)))
        return "", error.reason
    except OSError as error:
        return "", (os.strerror(error.errno) if error.errno else first_line(error)).lower()
    return str(path), ""
