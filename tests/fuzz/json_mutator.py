"""Mutates JSON as JSON: bytes that are none get no further than the parser."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import Any

ODD = (
    None, True, False, 0, 1, -1, 2**63, 2**64, 10**30, -0.5, 1e300, "", " ", "a", "é😀", "\x00",
    "\u2028", "[DONE]", "{}", "[]", [], {}, [[]], [None], [{}], {"": None},
)  # fmt: skip
Place = tuple[str | int, ...]


def mutate_json(
    data: bytes, seed: int, words: Sequence[str], fallback: Callable[[bytes], bytes]
) -> bytes:
    """Return data with a few places changed.

    Args:
        data: the input.
        seed: decides what changes.
        words: keys and values that the parser knows.
        fallback: changes bytes that are no JSON, and now and then some that are.
    """
    chance = random.Random(seed)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return fallback(data)
    if chance.random() < 0.15:
        return fallback(data)
    try:
        for _ in range(chance.randint(1, 3)):
            document = _mutated(document, chance, words)
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return fallback(data)


def _mutated(document: Any, chance: random.Random, words: Sequence[str]) -> Any:
    holders = [value for value in _values(document) if isinstance(value, dict | list) and value]
    if not holders:
        return {chance.choice(words): _odd(chance)}
    holder = chance.choice(holders)
    keys: list[Any] = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    key = chance.choice(keys)
    match chance.randrange(7):
        case 0:
            holder[key] = _odd(chance)
        case 1:
            holder[key] = chance.choice(words)
        case 2:
            holder[key] = json.loads(json.dumps(chance.choice(list(_values(document)))))
        case 3:
            del holder[key]
        case 4:
            holder[key] = [holder[key]] if chance.random() < 0.5 else {chance.choice(words): 1}
        case _ if isinstance(holder, dict):
            holder[chance.choice(words)] = holder[key]
        case _:
            holder.insert(key, json.loads(json.dumps(holder[key])))
    return document


def _odd(chance: random.Random) -> Any:
    # A copy: the next mutation may change what this one put in, or put it into itself.
    return deepcopy(chance.choice(ODD))


def _values(document: Any) -> Iterator[Any]:
    # A stack of our own: bytes nest deeper than Python calls.
    found = [document]
    while found:
        value = found.pop()
        yield value
        if isinstance(value, dict | list):
            found += value.values() if isinstance(value, dict) else value
