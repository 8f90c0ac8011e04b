import pytest

from moyin.prompt.grid import Grid, parse_size


def test_sizes_worked_by_hand():
    # The table of GLM-Image's sizes: image, large grid, preview.
    assert Grid.of_pixels(512, 512).preview() == Grid(16, 16)
    assert Grid.of_pixels(1152, 768) == Grid(36, 24)
    assert Grid.of_pixels(1152, 768).preview() == Grid(19, 13)
    assert Grid.of_pixels(2048, 2048).count == 4096
    assert (Grid(36, 24).height, Grid(36, 24).width) == (1152, 768)


@pytest.mark.parametrize("size", [(500, 512), (512, 0), (-32, 512)])
def test_a_wrong_size_is_refused(size):
    with pytest.raises(ValueError, match="multiple of 32"):
        Grid.of_pixels(*size)


def test_an_extreme_aspect_ratio_is_refused():
    with pytest.raises(ValueError, match="9600x32: the longer side"):
        Grid(1, 300).preview()


def test_a_size_is_width_by_height():
    assert parse_size("768x512") == Grid.of_pixels(height=512, width=768)
    assert parse_size(" 96×32 ").size == "96x32"


@pytest.mark.parametrize("text", ["512", "512x", "axb", "-32x32", "500x512"])
def test_a_wrong_size_text_is_refused(text):
    with pytest.raises(ValueError, match=r"size|width"):
        parse_size(text)


def test_previews_are_the_processor_s():
    processor = pytest.importorskip("transformers").GlmImageProcessor
    for rows in range(1, 65):
        for columns in range(1, 65):
            shape = processor._get_target_shape(None, rows * 32, columns * 32)
            preview = Grid(rows, columns).preview()
            assert shape == (rows, columns, preview.rows, preview.columns)
