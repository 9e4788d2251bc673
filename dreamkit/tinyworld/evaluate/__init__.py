"""Measures the tiny bundle on held-out made-up scenes: map and caption adherence, view agreement, time, memory.

May import all of tinyworld and the rooms below it.
Begin reading at `run.measure_bundle`; the command is in `command`.
"""
