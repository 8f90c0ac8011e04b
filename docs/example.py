"""Generate two images, edit one, watch the steps, save the tokens and decode them elsewhere."""

from moyin import GlmImagePipeline, SemanticTokens

pipe = GlmImagePipeline.from_pretrained()  # the embedded model; or a folder, or a hub id


def on_step(pipeline, step, timestep, state):
    print(state["stage"], step, end="\r")
    return {}


images = pipe(['a red poster that says "TEA"', "一张蓝色海报，写着“春天”"], seed=7).images
images[0].save("tea.png")
edited = pipe('change the text to "ART"', image=images[0], seed=1, callback_on_step_end=on_step)
edited.images[0].save("art.png")
tokens = pipe.generate_tokens('a red poster that says "TEA"', seed=7)
tokens.save("tea.npz")  # 2 KB
pipe.decode(SemanticTokens.load("tea.npz")).save("again.png")  # elsewhere, later
