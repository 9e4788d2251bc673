"""The controls that the models know: what their condition videos show."""

CONTROLS = ("hdmap", "lidar")
