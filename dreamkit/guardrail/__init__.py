"""Prompt and video checks: so far only the record of what was asked and what ran.

It may import workspace and errors. Begin with record.py.
"""
