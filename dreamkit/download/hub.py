"""The Hugging Face hub: may this user have a repository, what is in it, and one file of it at a time.

`huggingface_hub` does the talking, so HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE mean here what they mean there.
A token is read by it from the environment or the login, and never passes through the kit.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from dreamkit.download.catalogue import RDS_FOLDERS, RDS_HQ, SYNTHETIC_FOLDER, Repository
from dreamkit.errors import DreamkitError
from dreamkit.workspace.files import nearest

OPEN, ACCEPTED = "open to all", "licence accepted"
TO_ACCEPT, NO_TOKEN, BAD_TOKEN = "licence to accept", "token lacking", "token refused"
NOT_FOUND, NO_ANSWER, OFFLINE = "not found", "no answer", "offline"
CHUNK = 500  # paths asked for at once


@dataclass(frozen=True)
class Remote:
    """A file as the hub lists it: bytes, and `sha256:...`, or `git-sha1:...` for small files kept in git itself."""

    size: int
    checksum: str | None


@dataclass(frozen=True)
class Access:
    """A repository as this user meets it."""

    repository: Repository
    state: str
    detail: str = ""
    revision: str = ""
    files: dict[str, Remote] = field(default_factory=dict)

    @property
    def granted(self) -> bool:
        """Whether files can be fetched."""
        return self.state in (OPEN, ACCEPTED)

    @property
    def page(self) -> str:
        """Address of its page, where a licence is accepted."""
        folder = "datasets/" if self.repository.kind == "dataset" else ""
        return f"{endpoint()}/{folder}{self.repository.name}"


def endpoint() -> str:
    """Address of the hub, or of the mirror that HF_ENDPOINT names."""
    from huggingface_hub import constants

    return constants.ENDPOINT


def offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids the network."""
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


def has_token() -> bool:
    """Whether there is a token, from HF_TOKEN or a login."""
    from huggingface_hub import get_token

    return bool(get_token())


def network_errors() -> tuple[type[BaseException], ...]:
    """What `huggingface_hub` raises when the network fails; the library under it changed between its versions."""
    kinds: list[type[BaseException]] = [OSError]
    for module, name in (("requests", "RequestException"), ("httpx", "HTTPError"), ("httpx2", "HTTPError")):
        if module in sys.modules:
            kinds.append(getattr(importlib.import_module(module), name))
    return tuple(kinds)


def look_all(repositories: Sequence[Repository], clips: Sequence[str], parts: Sequence[str]) -> list[Access]:
    """`look` at several repositories at once, in order."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda repository: look(repository, clips, parts), repositories))


def look(repository: Repository, clips: Sequence[str] = (), parts: Sequence[str] = ()) -> Access:
    """Ask for a repository's revision, files and whether this user may have them.

    Args:
        repository: the repository.
        clips: for the RDS-HQ data set, the clips wanted.
        parts: and of them hdmap, lidar, synthetic.

    Raises:
        DreamkitError: a clip that the data set does not have.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    if offline():
        return Access(repository, OFFLINE, "HF_HUB_OFFLINE is set")
    api, name, kind = HfApi(), repository.name, repository.kind
    try:
        if name == RDS_HQ:  # its full list has hundreds of thousands of names
            info: Any = api.dataset_info(name, expand=["gated", "sha"])
        else:
            info = api.repo_info(name, repo_type=kind, files_metadata=True)
        if info.gated:
            api.auth_check(name, repo_type=kind)
        files = (
            _clip_files(api, info.sha, clips, parts)
            if name == RDS_HQ
            else {file.rfilename: _remote(file) for file in info.siblings or ()}
        )
    except GatedRepoError:
        return Access(repository, TO_ACCEPT if has_token() else NO_TOKEN)
    except RepositoryNotFoundError as error:
        return Access(repository, BAD_TOKEN if _refused(error) and has_token() else NOT_FOUND)
    except HfHubHTTPError as error:
        if _refused(error):
            return Access(repository, BAD_TOKEN if has_token() else NO_TOKEN)
        return Access(repository, NO_ANSWER, _first_line(error))
    except network_errors() as error:
        return Access(repository, NO_ANSWER, _first_line(error))
    return Access(repository, ACCEPTED if info.gated else OPEN, "", info.sha, files)


def _refused(error: Any) -> bool:
    response = getattr(error, "response", None)
    return response is not None and response.status_code == 401


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _remote(file: Any) -> Remote:
    if file.lfs is not None:
        return Remote(file.size, f"sha256:{file.lfs['sha256']}")
    return Remote(file.size or 0, f"git-sha1:{file.blob_id}" if file.blob_id else None)


def _clip_files(api: Any, revision: str, clips: Sequence[str], parts: Sequence[str]) -> dict[str, Remote]:
    """The data set's files of some clips: asked for by name, because listing everything takes minutes."""
    folders = dict.fromkeys(folder for part in parts if part in RDS_FOLDERS for folder in RDS_FOLDERS[part])
    paths = [f"{folder}/{clip}.{suffix}" for clip in clips for folder in folders for suffix in _suffixes(folder)]
    found: dict[str, Remote] = {}
    for start in range(0, len(paths), CHUNK):
        asked = paths[start : start + CHUNK]
        for file in api.get_paths_info(RDS_HQ, asked, revision=revision, repo_type="dataset"):
            found[file.path] = _remote(file)
    if "synthetic" in parts:
        tree = api.list_repo_tree(RDS_HQ, SYNTHETIC_FOLDER, recursive=True, revision=revision, repo_type="dataset")
        for file in tree:
            if hasattr(file, "blob_id") and Path(file.path).name.startswith(tuple(clips)):
                found[file.path] = _remote(file)
    _refuse_unknown(clips, found, lambda: _known_clips(api, revision))
    return found


def _suffixes(folder: str) -> tuple[str, ...]:
    return ("txt", "json") if folder == "captions" else ("tar",)


def _known_clips(api: Any, revision: str) -> list[str]:
    tree = api.list_repo_tree(RDS_HQ, "pose", revision=revision, repo_type="dataset")
    return [Path(file.path).stem for file in tree]


def _refuse_unknown(clips: Sequence[str], found: Iterable[str], known: Callable[[], list[str]]) -> None:
    names = [Path(path).name for path in found]
    lacking = [clip for clip in clips if not any(name.startswith(clip) for name in names)]
    if lacking:
        close = nearest(lacking[0], known())
        raise DreamkitError(
            f"{RDS_HQ} has no clip {lacking[0]}"
            + (f", nor {len(lacking) - 1} others of those asked for." if len(lacking) > 1 else "."),
            f"The nearest is {close}." if close else "A clip is named as in the data set's pose/ folder, without .tar.",
        )


def in_cache(repository: Repository, file: str) -> Path | None:
    """The file in the Hugging Face cache, where other programs left it."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository.name, file, repo_type=repository.kind)
    return Path(found) if isinstance(found, str) else None


def quiet_worker() -> None:
    """A worker leaves Ctrl-C to the process that started it, and draws no bars of its own."""
    from huggingface_hub.utils import disable_progress_bars, logging

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    disable_progress_bars()
    logging.set_verbosity_error()


def fetch(name: str, kind: str, file: str, revision: str, folder: str, remote: Remote | None) -> tuple[str, str]:
    """Fetch one file, going on where an earlier try stopped. Returns its path and "", or "" and why not.

    `hf_hub_download` would do it in one call, but since its second major version begins anew in every process, which a
    file of 45 GB over a poor line never survives; so its parts are called here.

    Args:
        name: of the repository.
        kind: "model" or "dataset".
        file: in the repository.
        revision: the commit that was listed.
        folder: where it goes, under its own name; what is incomplete keeps `.incomplete` there.
        remote: as the hub lists it.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import GatedRepoError
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    path = Path(folder) / file
    # Its checksum in the name: when the hub has another file by then, the old beginning is of no use.
    mark = (remote.checksum if remote and remote.checksum else revision).split(":")[-1][:16]
    incomplete = path.with_name(f"{path.name}.{mark}.incomplete")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        url = hf_hub_url(name, file, repo_type=kind, revision=revision)
        told = get_hf_file_metadata(url)
        size = remote.size if remote else told.size
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if urlparse(told.location).netloc != urlparse(url).netloc:
            headers.pop("authorization", None)  # the store behind the hub wants no token, and must not see one
        with incomplete.open("ab+") as part:
            here = part.seek(0, os.SEEK_END)
            if here != size:
                if size is not None and here > size:
                    here = part.truncate(0)
                http_get(told.location, part, resume_size=here, headers=headers, expected_size=size)
            part.flush()
            os.fsync(part.fileno())
        incomplete.replace(path)
    except GatedRepoError:
        return "", "the hub refuses it to this user"
    except network_errors() as error:
        if isinstance(error, OSError) and error.errno:
            return "", os.strerror(error.errno).lower()
        if "Consistency check failed" in str(error):
            return "", f"the connection ended after {incomplete.stat().st_size:,} of {size:,} bytes"
        return "", f"the connection failed: {_first_line(error)}"
    return str(path), ""
