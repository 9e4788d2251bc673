"""Names of the controls, that is, of the kinds of condition videos that the models take."""

CONTROLS = ("hdmap", "lidar")
