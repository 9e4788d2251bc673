"""The world model: denoisers, control branches, sampling, tokenizer, text encoder, checkpoint loading, pipelines.

Imports with torch, numpy, safetensors and transformers alone.
"""
