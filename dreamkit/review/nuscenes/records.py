"""Records of nuScenes' tables with tokens, and their JSON files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dreamkit.rds.poses import quaternions
from dreamkit.workspace.files import write_json

TABLES = (
    "attribute",
    "calibrated_sensor",
    "category",
    "ego_pose",
    "instance",
    "log",
    "map",
    "sample",
    "sample_annotation",
    "sample_data",
    "scene",
    "sensor",
    "visibility",
)


def token_of(*parts: object) -> str:
    """A token of 32 hex digits, the same for the same parts."""
    return hashlib.md5("\n".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


@dataclass
class Records:
    """The tables of a data set while it is written.

    Attributes:
        tables: table -> token -> record, in the order of adding.
    """

    tables: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {name: {} for name in TABLES})

    def add(self, table: str, token: str, **values: Any) -> str:
        """Add a record, or replace that of the same token; returns the token."""
        self.tables[table][token] = {"token": token, **values}
        return token

    def link(self, table: str, tokens: Iterable[str]) -> None:
        """Set `prev` and `next` of records that follow one another."""
        chain = list(tokens)
        for before, token, after in zip(["", *chain], chain, [*chain[1:], ""], strict=False):
            self.tables[table][token] |= {"prev": before, "next": after}

    def write(self, folder: Path) -> None:
        """Write one JSON file a table."""
        for name, rows in self.tables.items():
            write_json(folder / f"{name}.json", list(rows.values()))


def wxyz(pose: np.ndarray) -> list[float]:
    """The rotation of a pose [4, 4] as a quaternion w, x, y, z, with w not negative."""
    x, y, z, w = quaternions(pose[None, :3, :3])[0].tolist()
    sign = -1.0 if w < 0 else 1.0
    return [sign * w, sign * x, sign * y, sign * z]


def xyz(pose: np.ndarray) -> list[float]:
    """The translation of a pose [4, 4] in metres."""
    return pose[:3, 3].tolist()
