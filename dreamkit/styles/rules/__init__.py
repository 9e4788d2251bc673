"""Rules of styles."""
