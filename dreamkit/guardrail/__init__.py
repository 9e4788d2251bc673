"""Prompt and video checks."""
