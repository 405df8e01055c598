"""Repeats in a Responses stream: whole texts that must say what the deltas before them said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.api.answer import Event
from pipeline.api.text import Place
from pipeline.dialects.document import value_at
from pipeline.dialects.openai_responses_items import find_in_items, with_texts
from pipeline.dialects.openai_responses_stream import slot
from pipeline.dialects.reading import LENIENT, event_type

Json = dict[str, Any]
Slot = tuple[int, Place]  # output index, and the place in the item


class ResponsesRepeats:
    """Rewrites the repeats of one stream so that they say what was sent.

    A Responses stream says every text several times: in deltas, then whole in a `.done` event, in
    the done part, the done item and the final response. Plugins rewrite deltas; this makes the
    rest follow. Call it with every event that goes out, in order. Tell `received` of every event
    that comes in, before plugins see it: a text whose deltas they all held back is then repeated
    as empty. A text that came in no delta at all is left as it is.
    """

    def __init__(self) -> None:
        self._sent: dict[Slot, list[str]] = {}
        self._indices: dict[str, int] = {}

    def received(self, event: Event) -> None:
        """Note an event as it came in."""
        if event.segments and (key := _slot_of_delta(event)) is not None:
            self._sent.setdefault(key, [])

    def __call__(self, event: Event) -> Event:
        """Return an outgoing event, its repeats made true; the same event when they are."""
        data = event.data
        if data is None:
            return event
        if event.segments:
            if (key := _slot_of_delta(event)) is not None:
                self._sent.setdefault(key, []).append(data["delta"])
            return event
        texts: dict[Place, str] = {}
        for place, repeated in self._repeats(event_type(event.name, data), data):
            if repeated in self._sent:
                sent = "".join(self._sent[repeated])
                if value_at(data, place) != sent:
                    texts[place] = sent
        if not texts:
            return event
        data = with_texts(data, texts)
        raw = event.dialect.encode_event(event.name, data)
        return Event(event.dialect, raw, name=event.name, data=data, closes=event.closes)

    def _repeats(self, kind: str, data: Json) -> Iterator[tuple[Place, Slot]]:
        response, item, index = data.get("response"), data.get("item"), data.get("output_index")
        if isinstance(response, dict) and isinstance(response.get("output"), list):
            for position, one in enumerate(response["output"]):
                # Positions differ from output indices when an item was announced and left out.
                known = one.get("id") if isinstance(one, dict) else None
                at = ("response", "output", position)
                yield from _in_item(one, at, self._indices.get(str(known), position))
        if not isinstance(index, int):
            return
        if isinstance(item, dict):
            if isinstance(item.get("id"), str):
                self._indices[item["id"]] = index
            yield from _in_item(item, ("item",), index)
        elif (place := slot(kind, data)) is not None:
            part = data.get("part")
            for field in ("text", "refusal"):
                if isinstance(part, dict) and isinstance(part.get(field), str):
                    yield ("part", field), (index, (*place, field))
            if isinstance(data.get(str(place[-1])), str):
                yield (place[-1],), (index, place)


def _slot_of_delta(event: Event) -> Slot | None:
    data = event.data or {}
    place, index = slot(event_type(event.name, data), data), data.get("output_index")
    return None if place is None or not isinstance(index, int) else (index, place)


def _in_item(item: Any, at: Place, index: int) -> Iterator[tuple[Place, Slot]]:
    for found in find_in_items(LENIENT, [item], ()):
        segment = found.segment
        if segment.text is not None and segment.at is not None:
            yield (*at, *segment.at[1:]), (index, segment.at[1:])
