"""Everything that exists for the small model in checkpoints/nano alone.

Its codebook layout, auxiliary losses, initialisation, objectives, recipes and evaluation tasks. The
rest of the package does not import this one.
"""
