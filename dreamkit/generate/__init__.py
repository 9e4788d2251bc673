"""Notebooks 04 and 05."""
