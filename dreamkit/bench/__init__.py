"""Measurements: the world model (forward, video), the HDMap renderer (render), the style rewriter (styles).

It may import every room but cli. forward and video must import where only torch, numpy, safetensors and transformers
are installed, so they import other rooms than transfer inside functions. Begin with forward.py.
"""
