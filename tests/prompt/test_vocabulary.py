from moyin.prompt.vocabulary import Vocabulary


def test_defaults_are_glm_image_s():
    vocabulary = Vocabulary()
    assert (vocabulary.image_start, vocabulary.image_end, vocabulary.vision) == (
        16384,
        16385,
        16512,
    )
    assert (vocabulary.grid_start, vocabulary.grid_end, vocabulary.image) == (
        167845,
        167846,
        167855,
    )


def test_everything_but_codes_is_forbidden():
    vocabulary = Vocabulary(codes=64)
    assert vocabulary.forbidden[0] == vocabulary.image_start
    assert vocabulary.image_end in vocabulary.forbidden
    assert len(vocabulary.forbidden) == 128
    assert vocabulary.forbidden[-1] == vocabulary.vision - 1
