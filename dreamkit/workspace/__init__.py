"""Files, cameras and videos."""
