"""Measures of review."""
