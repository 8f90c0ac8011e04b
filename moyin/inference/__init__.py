"""From a prompt to an image; each step is a function that can be called alone.

prompt → `GeneratorInputs` (`prompt.generator_inputs`) → `SemanticTokens` (`generate_tokens`) →
latents (`denoise`) → pixels (`decode_latents`). `engine` holds the networks and runs requests;
`pipeline` is the public face.
"""
