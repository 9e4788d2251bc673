"""Notebook 00: what this machine can run, what is missing, and a short test with the tiny bundle.

It may import `generate/`, `download/`, `captions/`, `rds/` and all rooms below them. Begin with `doctor.examine`.
"""
