"""Measures of generated videos, computed from the frames of a clip without any model weights.

Begin with `definitions.py`, the table of measures and how to add one, then `metrics.py`, which computes them, and
`table.py`, which keeps one row a video. May import what review may, but no widget.
"""
