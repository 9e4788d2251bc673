"""Made-up driving scenes from a seed: roads, paint, roadside objects, traffic, cameras and captions, in RDS-HQ terms.

May import all rooms below tinyworld (captions, rds, setup, styles, workspace), and nothing else of tinyworld.
Begin reading at `scene.make_scene`.
"""
