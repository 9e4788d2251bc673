"""Runs of notebooks without a browser, one at a time or as a batch over many clips.

It may import every room below it: the seven steps' parameters, `notebook/` and `workspace/`.
Begin with `notebook.run_notebook`; of a batch with `batch_run.run_batch`: plan, queue, engine, worker.
"""
