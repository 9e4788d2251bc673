"""Render of tinyworld."""
