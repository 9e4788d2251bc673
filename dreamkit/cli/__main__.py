"""`python -m dreamkit.cli`."""

from dreamkit.cli import main

main()
