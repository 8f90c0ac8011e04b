"""From a prompt to a picture, each arrow a function that can be called alone.

prompt → Sequence (`moyin.prompt.generator_inputs`) → SemanticIds (`write`) → latents (`paint`) →
pixels (`develop`); `Pipeline` holds the networks and calls them in this order.
"""
