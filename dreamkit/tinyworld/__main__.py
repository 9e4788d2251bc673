"""Commands of the made-up world.

python -m dreamkit.tinyworld random [FOLDER]     a random tiny bundle, and condition videos of a sample clip
python -m dreamkit.tinyworld clip FOLDER SEED    a scene as an RDS-HQ clip with its captions
python -m dreamkit.tinyworld samples FOLDER      the two sample clips of dreamkit/tiny/clips
python -m dreamkit.tinyworld sheet FILE.png SEED a scene in eight styles and six views
python -m dreamkit.tinyworld speed               rendered frames per second on this machine
python -m dreamkit.tinyworld figures ...         measures the tiny bundle; --help lists the options
python -m dreamkit.tinyworld judge ...           measures the vehicle judge itself; --help lists the options
python -m dreamkit.tinyworld tokenizer ...       measures a tokenizer alone; --help lists the options
python -m dreamkit.tinyworld pictures ...        the pictures of README and card; --help lists the options
python -m dreamkit.tinyworld.train STAGE ...     trains one stage of the tiny bundle; --help lists the stages
"""

from __future__ import annotations

import sys
from pathlib import Path


def run_tinyworld(arguments: list[str]) -> int:
    """Run one command; returns the exit code."""
    match arguments:
        case ["random"]:
            _random(Path("tiny_random"))
        case ["random", folder]:
            _random(Path(folder))
        case ["clip", folder, seed] if seed.isdecimal():
            from dreamkit.tinyworld.world.samples import write_captioned
            from dreamkit.tinyworld.world.scene import make_scene

            write_captioned(Path(folder), f"made_up_{int(seed):06d}", make_scene(int(seed)))
        case ["samples", folder]:
            from dreamkit.tinyworld.world.samples import write_samples

            write_samples(Path(folder))
        case ["sheet", file, seed] if seed.isdecimal():
            from dreamkit.tinyworld.render.contact_sheet import write_sheet

            write_sheet(Path(file), int(seed))
        case ["speed"]:
            from dreamkit.tinyworld.render.contact_sheet import measure_speed

            measure_speed()
        case ["figures", *options]:
            from dreamkit.tinyworld.evaluate.command import run_evaluation

            return run_evaluation(options)
        case ["judge", *options]:
            from dreamkit.tinyworld.evaluate.judge import run_judge_figures

            return run_judge_figures(options)
        case ["tokenizer", *options]:
            from dreamkit.tinyworld.evaluate.tokenizer import run_tokenizer_figures

            return run_tokenizer_figures(options)
        case ["pictures", *options]:
            from dreamkit.tinyworld.evaluate.pictures import run_pictures

            return run_pictures(options)
        case _:
            print(__doc__)
            return 2
    return 0


def _random(folder: Path) -> None:
    from dreamkit.setup.sample_clip import write_condition_clip
    from dreamkit.tinyworld.train.bundle import NOTICE, write_random_bundle

    write_random_bundle(folder / "checkpoints")
    write_condition_clip(folder / "outputs")
    print(f"Wrote {folder / 'checkpoints'} and {folder / 'outputs'}.\n{NOTICE}")


if __name__ == "__main__":
    raise SystemExit(run_tinyworld(sys.argv[1:]))
