"""Train of tinyworld."""
