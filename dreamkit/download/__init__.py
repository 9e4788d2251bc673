"""Notebook 01: download model files and data sets from the Hugging Face hub, and verify them.

May import `transfer.folders`, `notebook`, `workspace` and `errors`.
Begin with `run`: `plan` compares the disk with the hub, `fetch` downloads, `checkpoints` lists what a stage needs.
"""
