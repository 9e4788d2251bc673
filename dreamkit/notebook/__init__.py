"""What a notebook's page needs: parameters, progress and log lines, a text editor, previews of videos.

It may import `workspace/` and `errors.py`. Begin with `params.NotebookParams`.
"""
