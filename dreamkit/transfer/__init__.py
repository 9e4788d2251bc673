"""The world model: denoisers, control branches, sampling, tokenizer, text encoder, checkpoint loading, pipelines.

It may import workspace and errors, and must import where only torch, numpy, safetensors and transformers are installed.
Begin with pipeline.py (the calls), then sampling.py (the algorithm) and dit.py (the network).
"""
