"""dreamkit: reviewed driving videos from HDMap conditions, with NVIDIA's Cosmos-Drive-Dreams models."""

__version__ = "0.1.0"
