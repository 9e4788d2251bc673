"""The recipe that trains the tiny bundle: training videos, text encoder, tokenizer, denoisers and control branches.

May import tinyworld.world, tinyworld.render and the rooms below tinyworld.
Begin reading at `recipe.train_stage`, then `network_stage` and `trainer`.
"""
