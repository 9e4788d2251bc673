"""Notebook 02: captions of clips, their checks, and the client of language model servers.

May import: transfer, rds, notebook, guardrail, workspace, errors.
Begin reading at table.py (`prepare_captions`); `files` reads and writes the caption files.
"""
