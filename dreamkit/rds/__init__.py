"""RDS-HQ labels to condition videos: read the labels, draw HDMap and LiDAR pictures, write the videos.

May import `workspace` and `errors`. Nothing is imported here, and video libraries only when a video is written.
Begin with `render.render_clips`; `plan` decides what to render, `labels` and `rig` read, `hdmap` and `lidar` draw.
"""
