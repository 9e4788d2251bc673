"""A workspace on an fsspec URL (s3://, gs://, file://): files are copied in before they are needed, and out when made.

The machine that runs the batch keeps a copy of the workspace and judges results there. A unit on another node has a
copy of its own clips in a scratch folder. A file is copied whole or not at all, a result's sidecar after its videos.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from dreamkit.errors import DreamkitError, first_line
from dreamkit.runs.batch_units import GENERATION, BatchFolder, Unit, link_inputs
from dreamkit.workspace.controls import CONTROLS
from dreamkit.workspace.files import replacing, write_text
from dreamkit.workspace.workspace import Workspace

T = TypeVar("T")
ATTEMPTS = 3
WAIT_SECONDS = 2.0
# Files that are not copied: caches, hidden and partial files, locks and logs.
_LOCAL = (".cache/*", ".*", "*/.partial-*", "*.lock", "logs/*")


class StoreError(DreamkitError):
    """The store cannot be reached, or refuses a file."""


class Store:
    """The files of a workspace under an fsspec URL.

    Args:
        url: the URL of the workspace's folder.
        root: the copy of the workspace on this machine.

    Raises:
        StoreError: the URL has an unknown protocol, or its package is not installed.
    """

    def __init__(self, url: str, root: Path) -> None:
        import fsspec

        self.url = url
        self.root = root
        self._stamps_file = root / ".cache" / "store.json"
        try:
            self.files, self.base = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise StoreError(
                f"The store {url} cannot be opened: {first_line(error)}.",
                "Install the package of its protocol, such as s3fs or gcsfs, and check the URL.",
            ) from None

    def pull(self, patterns: Sequence[str] = ("*",)) -> int:
        """Copy files in that are not here or have changed; returns how many.

        Args:
            patterns: of paths inside the workspace, as of `fnmatch`; `*` also matches slashes.

        Raises:
            StoreError: the store cannot be reached, also after some attempts.
        """
        known, count = self._stamps(), 0
        for name, stamp in self._listed(patterns):
            path = self.root / name
            if known.get(name) == stamp and path.is_file():
                continue
            with replacing(path) as partial:
                self._try(name, lambda source=f"{self.base}/{name}", to=partial: self.files.get_file(source, str(to)))
            known[name] = stamp
            count += 1
        if count:
            write_text(self._stamps_file, json.dumps(known))
        return count

    def push(self, patterns: Sequence[str]) -> int:
        """Copy files out, sidecars last; returns how many.

        Raises:
            StoreError: as for `pull`.
        """
        names = [name for name in self._here() if _matches(name, patterns)]
        known = self._stamps()
        for name in sorted(names, key=lambda name: (name.endswith(".json"), name)):
            self._try(name, lambda name=name: self._put(name))
        listed = dict(self._listed(names)) if names else {}
        write_text(self._stamps_file, json.dumps(known | listed))
        return len(names)

    def _put(self, name: str) -> None:
        target = f"{self.base}/{name}"
        self.files.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        if "file" not in _protocols(self.files):  # an object appears whole in any case
            self.files.put_file(str(self.root / name), target)
            return
        with replacing(Path(target)) as partial:
            partial.write_bytes((self.root / name).read_bytes())

    def _here(self) -> Iterator[str]:
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if path.is_file() and not path.is_symlink() and not _matches(name, _LOCAL):
                yield name

    def _listed(self, patterns: Sequence[str]) -> list[tuple[str, list[Any]]]:
        """(path inside the workspace, stamp that changes with the content) of files in the store."""
        found = self._try("", lambda: self.files.find(self.base, detail=True))
        base, rows = self.base.rstrip("/"), []
        for place, info in sorted(found.items()):
            name = place[len(base) + 1 :]
            if _matches(name, patterns) and not _matches(name, _LOCAL):
                changed = next((info[key] for key in ("ETag", "etag", "mtime", "LastModified") if key in info), "")
                rows.append((name, [info.get("size"), str(changed)]))
        return rows

    def _stamps(self) -> dict[str, list[Any]]:
        with contextlib.suppress(OSError, ValueError):
            return dict(json.loads(self._stamps_file.read_text()))
        return {}

    def _try(self, name: str, action: Callable[[], T]) -> T:
        """Do something with the store; after an error again, some times."""
        for attempt in range(ATTEMPTS):
            try:
                return action()
            except Exception as error:  # each protocol has errors of its own
                if isinstance(error, DreamkitError) or attempt == ATTEMPTS - 1:
                    raise StoreError(
                        f"The store {self.url}/{name} cannot be used: {first_line(error)}.",
                        "Check the network and the credentials; the same command goes on where it stopped.",
                    ) from error
                time.sleep(WAIT_SECONDS * 2**attempt)
        raise AssertionError("unreachable")


def _protocols(files: Any) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def input_patterns(unit: Unit) -> list[str]:
    """Paths inside the workspace that a unit reads or may find done, of its clips."""
    patterns = [*(f"{stage}_spec.json" for stage in GENERATION.values()), "runs/*/*_spec.json"]
    for clip in unit.clips:
        name = clip.replace("[", "[[]")
        patterns += [f"captions/{name}.*", f"styles/{name}.json"]
        patterns += [f"{control}/*/{name}_*" for control in CONTROLS]
    return patterns + result_patterns(unit)


def result_patterns(unit: Unit) -> list[str]:
    """Paths inside the workspace that a unit writes."""
    folders = ["", f"seeds/{unit.seed}/"]
    patterns = [f"runs/*/units/{unit.key}.*", f"runs/*/notebooks/{unit.key}.*"]
    for clip in unit.clips:
        name = clip.replace("[", "[[]")
        patterns += [f"captions/{name}.*", f"styles/{name}.json"] if unit.stage in ("captions", "styles") else []
        patterns += [f"{control}/*/{name}_*" for control in CONTROLS] if unit.stage == "render" else []
        stages = GENERATION.values() if unit.stage in GENERATION else ()
        patterns += [f"{folder}{stage}/{name}_*" for folder in folders for stage in stages]
    return patterns + ([f"{folder}review/*" for folder in folders] if unit.stage == "review" else [])


def scratch_unit(url: str, workspace: Path, name: str, unit: Unit) -> tuple[Store, BatchFolder]:
    """Copy a unit's inputs into this node's scratch folder; returns the store and the folder of the batch there.

    Args:
        url: URL of the store.
        workspace: the workspace folder of the machine that runs the batch, whose paths the unit has.
        name: name of the batch.
        unit: the unit.
    """
    scratch = Path(tempfile.gettempdir()) / f"dreamkit-store-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
    store, folder = Store(url, scratch), BatchFolder(Workspace(scratch).batch_folder(name))
    store.pull(input_patterns(unit) if unit.stage not in ("captions", "review") else ("*",))
    moved = json.loads(json.dumps(unit.as_dict()).replace(json.dumps(str(workspace))[1:-1], str(scratch)))
    own = Unit.from_dict(moved)
    if Path(own.workspace) != scratch:
        link_inputs(Workspace(scratch), Workspace(own.workspace))
    folder.write_unit(own)
    return store, folder
