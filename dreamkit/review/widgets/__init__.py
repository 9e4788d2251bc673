"""Widgets of review."""
