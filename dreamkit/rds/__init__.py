"""RDS-HQ labels to condition videos: read, check, draw, write.

The modules need numpy, OpenCV and (for LiDAR) torch. Nothing is imported here, so that reading labels stays light.
"""
