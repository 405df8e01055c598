"""Canonical answers of every shape, for property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]

HEAD = {"id": "abc", "created": 7, "model": "m-1"}
USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "sig=="}
REDACTED = {"type": "redacted_thinking", "data": "xx"}
OWN_THOUGHT = {
    "type": "reasoning",
    "id": "rs_own",
    "summary": [{"type": "summary_text", "text": "Hm."}, {"type": "summary_text", "text": "So."}],
    "encrypted_content": "gAAAA",
}
CITED = {"url": "https://x.org", "title": "X", "start_index": 0, "end_index": 2}
CITATION = {"type": "url_citation", "url_citation": CITED}
FINISHES = ("stop", "length", "tool_calls", "content_filter", None)

TEXT = st.text(max_size=12)


def tool_call(call_id: str | None, name: str = "f", arguments: str = '{"a":1}') -> Json:
    """Return a canonical tool call."""
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def answer(
    message: Json, finish: str | None = "stop", choice: Json | None = None, **more: Any
) -> Json:
    """Return a canonical answer; `choice` adds fields to its one choice."""
    said = {"role": "assistant", **message}
    chosen = {"index": 0, "message": said, "finish_reason": finish, **(choice or {})}
    return {**HEAD, "object": "chat.completion", "choices": [chosen], "usage": USAGE, **more}


def answers(
    arguments: st.SearchStrategy[str], ids: st.SearchStrategy[str]
) -> st.SearchStrategy[Json]:
    """Return answers whose calls have such arguments and ids."""
    message = st.fixed_dictionaries(
        {},
        optional={
            "content": st.none() | TEXT,
            "refusal": st.none() | TEXT,
            "thinking_blocks": _BLOCKS,
            "reasoning_content": st.none() | TEXT,
            "annotations": st.lists(st.just(CITATION), max_size=2),
            "tool_calls": st.lists(st.builds(tool_call, ids, TEXT, arguments), max_size=3),
        },
    )
    return st.builds(
        lambda message, finish, tokens, usage: answer(
            message, finish, usage=usage, choice={"logprobs": tokens and {"content": tokens}}
        ),
        message,
        st.sampled_from(FINISHES),
        st.none() | st.lists(_TOKENS, min_size=1, max_size=2),
        st.sampled_from([None, USAGE]),
    )


_BLOCKS = st.lists(
    st.one_of(
        st.builds(
            lambda thinking, signature: {**THOUGHT, "thinking": thinking, "signature": signature},
            TEXT,
            TEXT,
        ),
        st.builds(lambda data: {**REDACTED, "data": data}, TEXT),
        st.just(OWN_THOUGHT),
    ),
    max_size=3,
)
_TOKENS = st.builds(
    lambda token, logprob: {"token": token, "logprob": logprob, "bytes": None, "top_logprobs": []},
    TEXT,
    st.floats(-9, 0),
)
