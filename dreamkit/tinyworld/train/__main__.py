"""`python -m dreamkit.tinyworld.train STAGE`: one stage of the recipe."""

import sys

from dreamkit.errors import DreamkitError
from dreamkit.tinyworld.train.recipe import main

try:
    raise SystemExit(main(sys.argv[1:]))
except DreamkitError as error:
    raise SystemExit(str(error)) from None
