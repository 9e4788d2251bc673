"""Notebook 00."""
