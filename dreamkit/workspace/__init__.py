"""Files on disk: the workspace folder, reading and writing, cameras, videos and pictures.

It may import errors only. Begin with workspace.py. This file stays without code, so that a module of the room can be
imported where the dependencies of the others are absent.
"""
