"""The Hugging Face hub: access state and file list of a repository, and the download of one file.

All requests go through `huggingface_hub`, with the usual meaning of HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE.
It reads the token from the environment or the login; this package never handles it.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import ipaddress
import logging
import os
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urlparse

from dreamkit.download.catalogue import RDS_FOLDERS, RDS_HQ, SYNTHETIC_FOLDER, Repository
from dreamkit.errors import DreamkitError, first_line
from dreamkit.workspace.file_names import check_relative
from dreamkit.workspace.files import nearest
from dreamkit.workspace.partials import NO_LINKS
from dreamkit.workspace.processes import end_with_parent

log = logging.getLogger(__name__)
OPEN, ACCEPTED = "open to all", "licence accepted"
TO_ACCEPT, NO_TOKEN, BAD_TOKEN = "licence to accept", "token lacking", "token refused"
NOT_FOUND, NO_ANSWER, OFFLINE = "not found", "no answer", "offline"
PATHS_A_REQUEST = 500


@dataclass(frozen=True)
class Remote:
    """A file on the hub.

    Attributes:
        size: size in bytes.
        checksum: `sha256:<hex>`, `git-sha1:<hex>` for small files that are in git itself, or None.
    """

    size: int
    checksum: str | None


@dataclass(frozen=True)
class Access:
    """Access state of a repository for this user.

    Attributes:
        repository: the repository.
        state: one of OPEN, ACCEPTED, TO_ACCEPT, NO_TOKEN, BAD_TOKEN, NOT_FOUND, NO_ANSWER, OFFLINE.
        detail: reason of the state, or empty.
        revision: the commit of the listed files.
        files: file name -> size and checksum.
    """

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
        """URL of its page, where a licence is accepted."""
        folder = "datasets/" if self.repository.kind == "dataset" else ""
        return f"{endpoint()}/{folder}{self.repository.name}"


def endpoint() -> str:
    """URL of the hub, or of the mirror in HF_ENDPOINT."""
    from huggingface_hub import constants

    return constants.ENDPOINT


def offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids the network."""
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


def has_token() -> bool:
    """Whether there is a token, from HF_TOKEN or a login, that may be sent to the hub; see `withholds_token`."""
    from huggingface_hub import get_token

    return not withholds_token() and bool(get_token())


def withholds_token() -> bool:
    """Whether the token is kept from the hub, because HF_ENDPOINT is `http://` and everyone on the way could read it.

    The machine itself is exempt.
    """
    address = urlparse(endpoint())
    return address.scheme != "https" and not _is_this_machine(address.hostname or "")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _token_choice() -> bool | None:
    """The `token` argument of `huggingface_hub`: False sends none, None the user's, if there is one."""
    return False if withholds_token() else None


def network_errors() -> tuple[type[BaseException], ...]:
    """Exceptions of `huggingface_hub` when the network fails; they depend on the HTTP library of its version."""
    kinds: list[type[BaseException]] = [OSError]
    for module, name in (("requests", "RequestException"), ("httpx", "HTTPError"), ("httpx2", "HTTPError")):
        if module in sys.modules:
            kinds.append(getattr(importlib.import_module(module), name))
    return tuple(kinds)


def look_up_all(repositories: Sequence[Repository], clips: Sequence[str], parts: Sequence[str]) -> list[Access]:
    """`look_up_access` of several repositories at the same time, in their order."""
    from huggingface_hub import get_token

    if withholds_token() and get_token():
        log.warning(
            "the token is not sent to %s, because others can read what goes over http; a mirror with https gets it",
            endpoint(),
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
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    if offline():
        return Access(repository, OFFLINE, "HF_HUB_OFFLINE is set")
    api, name, kind = HfApi(token=_token_choice()), repository.name, repository.kind
    try:
        if name == RDS_HQ:  # a full list has hundreds of thousands of names
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
        for file in files:
            check_relative(file, f"The hub {endpoint()}")
    except GatedRepoError:
        return Access(repository, TO_ACCEPT if has_token() else NO_TOKEN)
    except RepositoryNotFoundError as error:
        return Access(repository, BAD_TOKEN if _refused(error) and has_token() else NOT_FOUND)
    except HfHubHTTPError as error:
        if _refused(error):
            return Access(repository, BAD_TOKEN if has_token() else NO_TOKEN)
        return Access(repository, NO_ANSWER, _reason(error))
    except network_errors() as error:
        return Access(repository, NO_ANSWER, _reason(error))
    return Access(repository, ACCEPTED if info.gated else OPEN, "", info.sha, files)


def _refused(error: Any) -> bool:
    """Whether the hub answered 401, unauthorized."""
    response = getattr(error, "response", None)
    return response is not None and response.status_code == 401


def _reason(error: BaseException) -> str:
    """First line of an error's message, at most 200 letters."""
    return first_line(error)[:200]


def _remote(file: Any) -> Remote:
    if file.lfs is not None:
        return Remote(file.size, f"sha256:{file.lfs['sha256']}")
    return Remote(file.size or 0, f"git-sha1:{file.blob_id}" if file.blob_id else None)


def _clip_files(api: Any, revision: str, clips: Sequence[str], parts: Sequence[str]) -> dict[str, Remote]:
    """Files of some clips in RDS-HQ; requested by name, because listing the whole data set takes minutes."""
    folders = dict.fromkeys(folder for part in parts if part in RDS_FOLDERS for folder in RDS_FOLDERS[part])
    paths = [f"{folder}/{clip}.{suffix}" for clip in clips for folder in folders for suffix in _suffixes(folder)]
    found: dict[str, Remote] = {}
    for start in range(0, len(paths), PATHS_A_REQUEST):
        batch = paths[start : start + PATHS_A_REQUEST]
        for file in api.get_paths_info(RDS_HQ, batch, revision=revision, repo_type="dataset"):
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
    """Raise DreamkitError for clips without any file; `known` lists all clips, for the nearest name."""
    names = [Path(path).name for path in found]
    missing = [clip for clip in clips if not any(name.startswith(clip) for name in names)]
    if missing:
        close = nearest(missing[0], known())
        others = f", nor {len(missing) - 1} others of the given clips" if len(missing) > 1 else ""
        raise DreamkitError(
            f"{RDS_HQ} has no clip {missing[0]}{others}.",
            f"The nearest is {close}." if close else "A clip is named as in the data set's pose/ folder, without .tar.",
        )


def in_cache(repository: Repository, file: str) -> Path | None:
    """Path of a file in the Hugging Face cache, or None."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository.name, file, repo_type=repository.kind)
    return Path(found) if isinstance(found, str) else None


def _open_incomplete(path: Path) -> BinaryIO:
    """Open an incomplete file for reading and appending, made when missing; a link in its place is not followed."""
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | NO_LINKS, 0o666)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(handle)
        raise FileExistsError(errno.EEXIST, "another program's file is in the place of the incomplete one", str(path))
    return cast(BinaryIO, os.fdopen(handle, "ab+"))


def quiet_worker() -> None:
    """Prepare a worker process: it ends with its parent, leaves Ctrl-C to it, and shows no progress bars."""
    from huggingface_hub.utils import disable_progress_bars, logging

    end_with_parent()
    disable_progress_bars()
    logging.set_verbosity_error()


def fetch_file(name: str, kind: str, file: str, revision: str, folder: str, remote: Remote | None) -> tuple[str, str]:
    """Fetch one file, continuing an incomplete one of an earlier run.

    `hf_hub_download` of huggingface_hub 1.x starts again in every process, so a file of 45 GB would never arrive over a
    poor connection. Its parts are called here instead.

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
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import GatedRepoError
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    path = Path(folder) / check_relative(file, f"The hub {endpoint()}")
    # The name has the checksum, so that a file that changed on the hub is not continued.
    mark = (remote.checksum if remote and remote.checksum else revision).split(":")[-1][:16]
    if not mark.isalnum() or not mark.isascii():  # whatever a mirror sends becomes part of a file name here
        mark = hashlib.sha256(mark.encode("utf-8", "replace")).hexdigest()[:16]
    incomplete = path.with_name(f"{path.name}.{mark}.incomplete")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        url = hf_hub_url(name, file, repo_type=kind, revision=revision)
        metadata = get_hf_file_metadata(url, token=_token_choice())
        size = remote.size if remote else metadata.size
        headers = {**build_hf_headers(token=_token_choice()), "Accept-Encoding": "identity"}
        if urlparse(metadata.location)[:2] != urlparse(url)[:2]:
            headers.pop("authorization", None)  # the storage behind the hub must not see the token
        with _open_incomplete(incomplete) as part:
            done = part.seek(0, os.SEEK_END)
            if done != size:
                if size is not None and done > size:
                    done = part.truncate(0)
                http_get(metadata.location, part, resume_size=done, headers=headers, expected_size=size)
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
        return "", f"the connection failed: {_reason(error)}"
    return str(path), ""
