"""When two questions are one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.semantic_cache.sameness import is_same

WORDS = st.lists(st.from_regex(r"[a-zA-Z0-9]{1,8}", fullmatch=True), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is a cat?", "what is a cat"),
        ("  What is\ta cat ?", "What is a cat..."),
        ("It's cold, isn't it?", "it's cold, isn't it"),
        ("Été à Paris ?", "été à paris"),
    ],
)
def test_case_spaces_and_closing_marks_do_not_matter(one, other):
    assert is_same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is a cat?", "What is a bat?"),
        ("Run `LS`", "run `ls`"),
        ("x = 1", "X = 1"),
        ("one\ntwo", "one two"),
        ('Say "Hello"', 'Say "hello"'),
        ("/etc/Hosts", "/etc/hosts"),
        ("a_b", "A_B"),
        ("no, stop", "no stop"),
        ("", ""),
        ("?", "!"),
    ],
)
def test_anything_else_does(one, other):
    assert not is_same(one, other)


@given(WORDS, WORDS)
def test_other_words_are_never_the_same(one, other):
    folded = [word.casefold() for word in one] == [word.casefold() for word in other]
    assert is_same(" ".join(one), " ".join(other)) == folded
