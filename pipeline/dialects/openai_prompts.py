"""Prompt fields of OpenAI's older formats: a string, strings, tokens, or arrays of tokens.

Tokens cannot be read without the model's tokenizer: they are segments of kind `file` without text,
so that a guard can tell that it has not read everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.api.text import Place, Segment
from pipeline.dialects.document import value_at, with_values, without
from pipeline.dialects.reading import STRICT
from pipeline.dialects.segment_edits import Found, compare

Json = dict[str, Any]

_NEW_ROLES = ("system", "developer", "user")


def check_prompt(document: Json, field: str) -> None:
    """Raise InvalidCall when the field is missing or neither a string nor a list."""
    STRICT.field(document, (), field, str, list, required=True)


def prompt_segments(document: Json, field: str) -> list[Segment]:
    """Find the texts of a prompt field."""
    prompt = document.get(field)
    if isinstance(prompt, str):
        return [Segment("user", prompt, at=(field,))]
    if not isinstance(prompt, list):
        return []
    if prompt and all(isinstance(item, int) for item in prompt):
        return [Segment("user", None, "file", (field,))]
    return [
        Segment("user", item, at=(field, index))
        if isinstance(item, str)
        else Segment("user", None, "file", (field, index))
        for index, item in enumerate(prompt)
    ]


def with_prompt_segments(
    document: Json, field: str, old: Sequence[Segment], wanted: Sequence[Segment]
) -> Json:
    """Return the call with the wanted segments in place of its old ones.

    A prompt has no messages: a new segment joins the prompt that it stands before, or the last one
    when it stands at the end, with a blank line between. A prompt that is no list becomes empty
    when it is removed, for the field must be there.

    Args:
        document: the call.
        field: the prompt's field; segments elsewhere are fields of their own.
        old: the call's segments.
        wanted: the whole new list.

    Raises:
        ValueError: a segment has no place in the call, or is new and cannot join a prompt.
    """
    edits = compare([Found(segment, segment.at or ()) for segment in old], wanted)
    document = with_values(document, edits.texts)
    prompts = [s.at for s in wanted if s.at is not None and s.at[0] == field]
    before: dict[Place, list[str]] = {}
    behind: list[str] = []
    for segment, place in edits.inserted:
        if segment.kind != "text" or segment.text is None or segment.role not in _NEW_ROLES:
            raise ValueError(
                f"a prompt takes no new segment of kind {segment.kind}, role {segment.role}"
            )
        if place in prompts and place is not None:
            before.setdefault(place, []).append(segment.text)
        else:
            behind.append(segment.text)
    gone = {one.unit for one in edits.removed}
    emptied: dict[Place, str] = {(field,): ""} if (field,) in gone else {}
    document = with_values(document, emptied)
    if behind and not prompts and (emptied or document.get(field) is None):
        return without({**document, field: "\n\n".join(behind)}, gone - {(field,)})  # type: ignore[no-any-return]
    if behind and not prompts:
        raise ValueError("there is no prompt that a new segment could join")
    joined: dict[Place, str] = {}
    for place in prompts:
        added = behind if place == prompts[-1] else []
        if place in before or added:
            text = value_at(document, place)
            if not isinstance(text, str):
                raise ValueError("a prompt of tokens takes no text")
            joined[place] = "\n\n".join([*before.get(place, ()), text, *added])
    return without(with_values(document, joined), gone - {(field,)})  # type: ignore[no-any-return]
