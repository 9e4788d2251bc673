"""`python -m dreamkit.tinyworld.train STAGE`: runs one stage of the recipe."""

import sys

from dreamkit.errors import DreamkitError
from dreamkit.tinyworld.train.recipe import train_stage

if __name__ == "__main__":
    try:
        raise SystemExit(train_stage(sys.argv[1:]))
    except DreamkitError as error:
        raise SystemExit(str(error)) from None
