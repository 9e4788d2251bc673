"""`python -m dreamkit.cli`: the command without an installation."""

from dreamkit.cli import main

main()
