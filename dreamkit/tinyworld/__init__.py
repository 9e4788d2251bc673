"""The made-up world and the recipe of the tiny bundle, the released architecture at laptop size; a developers' tool.

May import every room up to setup; only cli and bench import it. Rooms, each importing only earlier ones: world
(scenes from seeds), render (their pictures), train (the recipe), evaluate (measurements). Begin reading at `__main__`.
"""
