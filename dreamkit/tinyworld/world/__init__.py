"""World of tinyworld."""
