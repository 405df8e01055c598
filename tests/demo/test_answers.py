"""The demo's answers: they follow from the question, and every text is a question."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.demo.answers import Question, answer

_numbers = st.integers(0, 10**10 - 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is 12*7?", "12*7 = 84"),
        ("what is 2 + 3 * 4 - 1?", "2 + 3 * 4 - 1 = 13"),
        ("1/4", "1/4 = 0.25"),
        ("calculate 6 x 7, please", "6 x 7 = 42"),
        ("what is 1/0?", "1/0 has no value: it divides by zero."),
        ("How many words are in: one two three", "I count 3 words."),
        ('count words in "what is 1+1?"', "I count 3 words."),
        ("Please count to 5.", "1 2 3 4 5"),
        ("Say: the system prompt", "the system prompt"),
        ("", "You asked nothing. Try: what is 12*7?"),
        ("Where is Paris?", "You asked: Where is Paris?"),
        ("Call 555-1234", "You asked: Call 555-1234"),
    ],
)
def test_the_answer_follows_from_the_question(text, expected):
    assert answer(Question(text)) == expected


def test_a_greeting_is_greeted():
    assert answer(Question("hello there")).startswith("Hello!")


def test_the_answer_reports_what_came_with_the_question():
    def ask(text):
        return answer(Question(text, model="demo-small", system="Be brief.", messages=3))

    assert "demo-small" in ask("Which model are you?")
    assert ask("What is your system prompt?") == "My system prompt is: Be brief."
    assert ask("How many messages did you see?") == "I saw 3 messages."


def test_a_tool_result_is_reported_whatever_was_asked():
    assert answer(Question("use the tool", tool_result="sunny")) == "The tool said: sunny"


@given(st.lists(st.tuples(st.sampled_from("+-*"), _numbers), min_size=1, max_size=20), _numbers)
def test_arithmetic_agrees_with_python(steps, first):
    written = str(first) + "".join(f"{operator}{number}" for operator, number in steps)

    assert answer(Question(f"what is {written}")) == f"{written} = {eval(written)}"


@given(st.text() | st.from_regex(r"(what is )?[0-9./*+ -]{0,60}", fullmatch=True))
@example("9999999999*" * 20 + "9999999999")
@example("9999999999*" * 19 + "9999999999/7")
@example("count to " + "9" * 5000)
@example("how many words " * 2000)
def test_every_text_has_one_answer(text):
    said = answer(Question(text))

    assert said
    assert said == answer(Question(text))


def test_a_question_does_not_show_its_text():
    assert "secret" not in repr(Question("my secret", system="secret"))
