from __future__ import annotations

from moyin.render import assets


def test_the_table_of_characters_is_whole() -> None:
    # The sizes that the State Council's table of 2013 states.
    levels = [assets.characters(level) for level in (1, 2, 3)]
    assert [len(level) for level in levels] == [3500, 3000, 1605]
    table = {character for level in levels for character in level}
    assert len(table) == 8105
    assert set(assets.frequent_characters()) == table
    assert len(assets.frequent_characters()) == 8105


def test_the_most_frequent_characters_come_first() -> None:
    # All of these are among the first twenty of every frequency list of modern Chinese.
    assert set("一是不了在人有我他这") - set(assets.frequent_characters()[:100]) == set()


def test_words_are_made_of_the_table() -> None:
    table = set(assets.frequent_characters())
    assert all(table.issuperset(word) and 2 <= len(word) <= 4 for word in assets.chinese_words())
    assert all(word.isascii() and word.isalpha() for word in assets.english_words())


def test_every_object_has_a_image_and_names_that_can_stand_in_a_caption() -> None:
    names = assets.object_names()
    assert len(names) >= 300
    assert (
        len({name.english for name in names}) == len({name.chinese for name in names}) == len(names)
    )
    assert not any(set("'\"“”‘’「」") & set(name.english + name.chinese) for name in names)
    for number in range(0, len(names), 20):
        image = assets.object_image(number)
        assert (image.mode, image.size) == ("RGBA", (128, 128))
        assert image.getchannel("A").getextrema() == (0, 255)


def test_every_photograph_opens() -> None:
    for name in assets.PHOTOGRAPHS:
        assert min(assets.photograph(name).size) >= 300


def test_every_font_has_its_licence_beside_it() -> None:
    for path in (assets.FOLDER / "fonts").glob("*.woff2"):
        text = path.with_name(f"{path.stem}.LICENSE.txt").read_text(encoding="utf-8")
        assert "SIL OPEN FONT LICENSE" in text.upper() or "Apache License" in text
