"""Prompt and video checks: so far only the record of which were requested and which ran.

It may import workspace and errors. Begin with record.py.
"""
