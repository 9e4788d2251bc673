"""Colour and condition pictures of made-up scenes, by ray casting in torch.

May import tinyworld.world and the rooms below tinyworld.
Begin reading at `colour.render_scene`.
"""
