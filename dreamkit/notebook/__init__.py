"""Code that all notebooks share: parameters, progress and log lines, a text editor, previews of videos.

It may import `workspace/` and `errors.py`. Begin with `params.NotebookParams`.
"""
