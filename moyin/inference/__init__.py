"""From a prompt to an image, each arrow a function that can be called alone.

prompt → Sequence (`moyin.prompt.generator_inputs`) → SemanticIds (`write`) → latents (`paint`) →
pixels (`develop`); `GlmImagePipeline` holds the networks and calls them in this order.
"""
