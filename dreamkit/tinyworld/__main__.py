"""`python -m dreamkit.tinyworld random [FOLDER]`: write a random tiny bundle, and a small condition clip beside it."""

from __future__ import annotations

import sys
from pathlib import Path

from dreamkit.tinyworld.bundle import NOTICE, write_random_bundle


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    if not arguments or arguments[0] != "random" or len(arguments) > 2:
        print(__doc__)
        return 2
    from dreamkit.tinyworld.clip import write_condition_clip

    folder = Path(arguments[1] if len(arguments) == 2 else "tiny_random")
    write_random_bundle(folder / "checkpoints")
    write_condition_clip(folder / "outputs")
    print(f"wrote {folder / 'checkpoints'} and {folder / 'outputs'}\n{NOTICE}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
