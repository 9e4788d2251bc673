"""Headless runs of notebooks."""
