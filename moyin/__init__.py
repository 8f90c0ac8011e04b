"""Moyin: training and inference for hybrid autoregressive-diffusion image generators."""

__version__ = "0.1.0"
