"""What must be equal for a stored answer to serve."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api import Call, last_user_text
from pipeline.testing.documents import dialect_of
from plugins.semantic_cache.keys import keys_of, user_turns

CHAT = dialect_of("openai.chat")
MESSAGES = dialect_of("anthropic.messages")
BASE = {
    "model": "gpt-5",
    "messages": [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "What is a dragoman?"},
    ],
    "temperature": 0.2,
}


def call(document, dialect=CHAT):
    return Call(dialect, document, json.dumps(document).encode())


def keys(document, *, route="chat", tenant="acme", dialect=CHAT):
    return keys_of(call(document, dialect), route=route, tenant=tenant)


def changed(**fields):
    return {**copy.deepcopy(BASE), **fields}


def test_the_same_call_has_the_same_keys_whatever_the_order_of_its_fields():
    assert keys(dict(reversed(BASE.items()))) == keys(BASE)


@pytest.mark.parametrize(
    "field",
    [
        {"stream": True},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"user": "u-1"},
        {"metadata": {"a": "b"}},
        {"service_tier": "flex"},
        {"store": True},
    ],
)
def test_what_changes_no_answer_changes_no_key(field):
    assert keys(changed(**field)) == keys(BASE)


@pytest.mark.parametrize(
    "other",
    [
        changed(model="gpt-5-mini"),
        changed(temperature=0.3),
        changed(temperature=1),
        changed(temperature=True),
        changed(seed=1),
        changed(max_tokens=5),
        changed(response_format={"type": "json_object"}),
        changed(tools=[{"type": "function", "function": {"name": "f"}}]),
        changed(a_field_of_tomorrow="x"),
        changed(messages=[{"role": "system", "content": "Be long."}, BASE["messages"][1]]),
        changed(messages=[{"role": "developer", "content": "Be short."}, BASE["messages"][1]]),
        changed(messages=[BASE["messages"][1]]),
        changed(
            messages=[
                BASE["messages"][0],
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": "Hello!"},
                BASE["messages"][1],
            ]
        ),
        changed(messages=[*BASE["messages"], {"role": "assistant", "content": "A dragoman"}]),
        changed(
            messages=[
                BASE["messages"][0],
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is a dragoman?"},
                        {"type": "image_url", "image_url": {"url": "https://a.example/1.png"}},
                    ],
                },
            ]
        ),
    ],
)
def test_whatever_else_differs_is_another_partition(other):
    assert keys(other).partition != keys(BASE).partition
    assert keys(other).exact != keys(BASE).exact


def test_another_question_is_the_same_partition_and_another_call():
    asked = changed(messages=[BASE["messages"][0], {"role": "user", "content": "Who was one?"}])
    assert keys(asked).partition == keys(BASE).partition
    assert keys(asked).exact != keys(BASE).exact
    assert keys(asked).question == "Who was one?"


def test_tenants_and_routes_are_apart():
    assert keys(BASE, tenant="b").partition != keys(BASE).partition
    assert keys(BASE, route="b").partition != keys(BASE).partition
    # Not one text: neither can pretend to be the other.
    one = keys(BASE, tenant="a", route="bc").partition
    assert one != keys(BASE, tenant="ab", route="c").partition


def test_dialects_are_apart():
    document = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    assert keys(document).partition != keys(document, dialect=MESSAGES).partition


def test_images_are_told_apart_by_their_content():
    def shown(data):
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
        parts = [{"type": "text", "text": "What is this?"}, image]
        return changed(messages=[{"role": "user", "content": parts}])

    assert keys(shown("AAAA")) == keys(shown("AAAA"))
    assert keys(shown("AAAA")).partition != keys(shown("BBBB")).partition


def test_texts_that_are_split_otherwise_are_another_call():
    def said(*texts):
        parts = [{"type": "text", "text": text} for text in texts]
        return changed(messages=[{"role": "user", "content": parts}])

    assert keys(said("a\nb")).exact != keys(said("a", "b")).exact


def test_integers_of_any_length_have_a_key():
    assert keys(changed(seed=10**30)).exact != keys(changed(seed=10**30 + 1)).exact


def test_the_question_is_the_text_whose_embedding_is_computed_ahead():
    parts = [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}]
    asked = changed(
        messages=[
            {"role": "user", "content": "Zero"},
            {"role": "assistant", "content": "0"},
            {"role": "user", "content": parts},
            {"role": "user", "content": "Three"},
        ]
    )
    assert keys(asked).question == last_user_text(call(asked)) == "One\nTwo\nThree"
    assert user_turns(call(asked)) == 2


@given(st.text(min_size=1), st.text(min_size=1))
def test_different_questions_never_share_an_exact_key(one, other):
    asked = [changed(messages=[{"role": "user", "content": text}]) for text in (one, other)]
    assert (keys(asked[0]).exact == keys(asked[1]).exact) == (one == other)
    assert keys(asked[0]).partition == keys(asked[1]).partition


def test_keys_do_not_show_the_question():
    assert "dragoman" not in repr(keys(BASE))
