"""Model of styles."""
