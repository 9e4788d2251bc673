"""Evaluate of tinyworld."""
