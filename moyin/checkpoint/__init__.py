"""GLM-Image's folder layout, read and written: the one room that knows Hugging Face's names."""
