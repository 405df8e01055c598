"""The demo's replies: every request is answered or refused, whole and streamed alike."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.demo.replies import reply
from pipeline.demo.streams import events
from pipeline.dialects.registry import builtin
from pipeline.errors import InvalidCall
from pipeline.testing.documents import SPEAKING

_DIALECTS = [builtin().by_name(name) for name in builtin().names]
_scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8)
_words = st.sampled_from(
    ["required", "any", "function", "tool", "f", "user", "text", "use the tool"],
)
_keys = st.sampled_from(
    ["name", "type", "function", "parameters", "input_schema", "properties", "required", "content"],
)
_anything = st.recursive(
    _scalars | _words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3),
    max_leaves=8,
)
_tools = st.lists(
    st.fixed_dictionaries({"type": _words, "name": _words, "function": _anything}), max_size=2
)
_requests = st.fixed_dictionaries(
    {
        "model": st.text(max_size=5),
        "max_tokens": st.just(9),
        "messages": st.lists(
            st.fixed_dictionaries({"role": st.just("user"), "content": _anything | _words}),
            min_size=1,
            max_size=2,
        ),
        "prompt": st.text() | st.lists(st.text(), min_size=1) | _anything,
        "input": st.text() | st.lists(st.text(), min_size=1) | _anything,
    },
    optional={
        "tools": _tools | _anything,
        "tool_choice": _anything,
        "dimensions": _scalars,
        "encoding_format": _anything,
        "system": _anything,
        "instructions": _anything,
    },
)


@pytest.mark.parametrize("dialect", _DIALECTS, ids=lambda dialect: dialect.name)
@given(request_document=_requests, words_per_event=st.integers(1, 3))
def test_every_request_is_answered_or_refused(dialect, request_document, words_per_event):
    fields = {"openai.completions": "prompt", "openai.responses": "input"}
    only = fields.get(dialect.name)
    document = {k: v for k, v in request_document.items() if k != "prompt" or only == "prompt"}
    try:
        dialect.check(document)
        answer = reply(dialect, document, id="demo-1", created_s=1)
    except InvalidCall:
        return

    json.dumps(answer, allow_nan=False)
    if dialect.name in SPEAKING:
        stream = events(dialect, answer, words_per_event=words_per_event, include_usage=True)
        assert dialect.answer_segments(dialect.fold(stream)) == dialect.answer_segments(answer)
