import pytest

from moyin.checkpoint.processor import save_processor
from moyin.prompt.tokenizer import TextTokenizer

CODES = 64
TEXTS = [
    "A blue poster with the words 'Hello world' in the middle.",
    "A red poster with the words 'Good morning' at the top.",
    "一张海报，上面写着“你好，世界”，背景是蓝色的。",
    "一张红色的海报，标题是「早上好」，下面写着“2024年”。",
] * 3


@pytest.fixture(scope="session")
def tokenizer() -> TextTokenizer:
    return TextTokenizer.train(TEXTS, size=400, codes=CODES)


@pytest.fixture(scope="session")
def folder(tokenizer, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "processor"
    save_processor(path, tokenizer)
    return path
