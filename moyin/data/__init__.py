"""From a recipe to training samples: render, caption, store."""
