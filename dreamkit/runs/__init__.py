"""Runs of notebooks without a browser.

It may import every room below it: the seven steps' parameters, `notebook/` and `workspace/`.
Begin with `notebook.run_notebook`.
"""
