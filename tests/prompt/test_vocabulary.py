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


def test_reserved_ids_stand_between_codes_and_text():
    vocabulary = Vocabulary(codes=64)
    assert vocabulary.image_start == 64
    assert vocabulary.image_end == 65
    assert vocabulary.vision == 64 + 128
