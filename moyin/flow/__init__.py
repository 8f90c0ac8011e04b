"""Flow matching: path, schedule, samplers and guidance. Arithmetic alone, no networks."""
