"""Review of generated videos (notebook 06): play them, measure them, record verdicts, export the accepted ones.

Begin with `report.py`, the steps of the notebook, then `session.py`, the board with its videos and verdicts.
May import captions, download, notebook, workspace and errors; measures/ has the measures, widgets/ board and player.
"""
