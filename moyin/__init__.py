"""Moyin: training and inference for hybrid autoregressive-diffusion picture generators."""

__version__ = "0.1.0"
