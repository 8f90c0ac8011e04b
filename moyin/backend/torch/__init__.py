"""The PyTorch side of the facade."""
