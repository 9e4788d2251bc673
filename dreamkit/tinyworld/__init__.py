"""The made-up world and the tiny bundle: the released architecture at a size that a laptop runs."""
