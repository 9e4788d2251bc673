"""The table of object types in a workspace: what boxes of types in neither published vocabulary are drawn as.

    "Motorcycle": Cyclist
    "Cone": Others

Render writes the table when it meets such a type, with a line for each, and reads it from then on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from dreamkit.errors import DreamkitError
from dreamkit.rds.objects import CLASS_OF, OTHERS, is_known_type
from dreamkit.workspace.files import nearest, read_text, read_yaml, write_text
from dreamkit.workspace.paths import from_home, type_table

CLASSES = (*dict.fromkeys(CLASS_OF.values()), OTHERS)
_HEADING = f"""\
# Object types of the labels that are in neither published vocabulary. Write behind each one what its boxes are drawn
# as: {", ".join(CLASSES)}. {OTHERS} are white, and so are types without an entry. Then render again.
"""
_LIKELY = {
    "Cyclist": ("moto", "bike", "bicycle", "scooter", "cycl", "rider", "moped"),
    "Truck": ("truck", "bus", "lorry", "trailer", "tram", "train", "heavy"),
    "Pedestrian": ("ped", "person", "human", "adult", "child", "people", "worker"),
    "Car": ("car", "van", "suv", "taxi", "vehicle", "auto"),
}
_OTHERS_LIKELY = ("cone", "barrier", "sign", "static", "construction", "fire", "hydrant", "cart", "animal")


def read_type_table(path: Path) -> dict[str, str]:
    """Object type -> class of its boxes, one of CLASSES; empty for types without an entry, and without a table.

    Raises:
        DreamkitError: the file is no table of types, or names an unknown class.
    """
    if not path.is_file():
        return {}
    table = read_yaml(path, "table of object types")
    found = {}
    for kind, value in table.items():
        name = CLASS_OF.get(str(value), OTHERS if value == OTHERS else "")
        if value is not None and not name:
            close = nearest(str(value), CLASSES)
            raise DreamkitError(
                f"{path} draws {kind!s} as {str(value)[:80]!r}, which is no class of boxes.",
                f"Did you mean {close}?" if close else f"Write {', '.join(CLASSES)}.",
            )
        found[str(kind)] = name
    return found


def types_of_workspace(root: Path) -> tuple[tuple[str, str], ...]:
    """The table of a workspace as `Options.types`, sorted; raises as `read_type_table`."""
    return tuple(sorted(read_type_table(type_table(from_home(root))).items()))


def types_record(types: Iterable[tuple[str, str]]) -> dict[str, dict[str, str]]:
    """What the sidecar says of own types: `object_types`, and nothing where all of them are drawn in white."""
    drawn = {kind: name for kind, name in types if name not in ("", OTHERS)}
    return {"object_types": drawn} if drawn else {}


def unknown_kinds(kinds: Iterable[str], table: Mapping[str, str]) -> list[str]:
    """Types in neither published vocabulary that the table does not have, sorted."""
    return sorted({kind for kind in kinds if not is_known_type(kind) and kind not in table})


def ask_for_types(path: Path, kinds: Iterable[str]) -> None:
    """Add a line without an entry for each type to the table; what stands in it stays."""
    before = read_text(path, "table of object types") if path.is_file() else _HEADING
    lines = "".join(f"{json.dumps(kind)}:  # perhaps {likely_class(kind)}\n" for kind in kinds)
    write_text(path, before + ("" if before.endswith("\n") else "\n") + lines)


def likely_class(kind: str) -> str:
    """The class that a type's name suggests.

    >>> likely_class("vehicle.motorcycle"), likely_class("Cone"), likely_class("Fire_Hydrant")
    ('Cyclist', 'Others', 'Others')
    """
    name = kind.lower()
    if any(part in name for part in _OTHERS_LIKELY):
        return OTHERS
    return next((found for found, parts in _LIKELY.items() if any(part in name for part in parts)), OTHERS)
