"""The catalog of models: what a model can do and costs, from data files, never from code."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Literal

from pipeline.api.data_files import parse_data

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


@dataclass(frozen=True, slots=True)
class Reasoning:
    """How a model thinks.

    Args:
        efforts: levels that it takes by name, in rising order; empty where it takes none.
        budget: whether it takes a budget in tokens.
        adaptive: whether it decides itself how much to think (Anthropic's `adaptive`).
        always: whether it cannot be switched off.
        unasked: whether it is on unless a call switches it off.
    """

    efforts: tuple[Effort, ...] = ()
    budget: bool = False
    adaptive: bool = False
    always: bool = False
    unasked: bool = False


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens; None where unknown."""

    input: float | None = None
    output: float | None = None
    cached_input: float | None = None
    cache_write: float | None = None


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """What is known of a model.

    Args:
        name: the vendor's own name of it, without a date.
        vendor: who made it.
        match: globs over the names that providers give it (`*anthropic.claude-sonnet-4-5*`).
        kind: what it is for.
        context_tokens: input and output together, or the input's limit where it is separate.
        max_output_tokens: the most that it answers; 0 where it does not answer in tokens.
        inputs: what it reads beside text.
        tools, parallel_tools, json_schema, sampling, logprobs: whether it takes them (`sampling`:
            temperature and top_p).
        web_search: whether it searches the web in chat completions.
        prefill: whether it goes on from an answer that a call begins.
        reasoning: None for a model that does not think.
        price: list price.
        source: where the figures are from, and when they were read.
    """

    name: str
    vendor: str
    match: tuple[str, ...]
    kind: Literal["chat", "embedding", "rerank"] = "chat"
    context_tokens: int = 0
    max_output_tokens: int = 0
    inputs: frozenset[Literal["image", "audio", "video", "file"]] = frozenset()
    tools: bool = True
    parallel_tools: bool = True
    json_schema: bool = True
    sampling: bool = True
    logprobs: bool = False
    web_search: bool = False
    prefill: bool = True
    reasoning: Reasoning | None = None
    price: Price = field(default=Price())
    source: str = ""


@lru_cache(maxsize=4096)
def find_model(name: str) -> ModelEntry | None:
    """Return the entry of a model by any provider's name of it, None where it is unknown.

    The longest glob that matches wins, so that `gpt-5-mini*` comes before `gpt-5*`.
    """
    asked = name.lower()
    found = [(glob, entry) for glob, entry in _globs() if fnmatchcase(asked, glob)]
    return max(found, key=lambda pair: len(pair[0]))[1] if found else None


@cache
def all_models() -> tuple[ModelEntry, ...]:
    """Return every entry, by vendor and name."""
    entries = [
        _entry(one)
        for file in files("models.catalog").iterdir()
        if file.name.endswith(".yaml")
        for one in parse_data(file.read_text(encoding="utf-8"))
    ]
    return tuple(sorted(entries, key=lambda entry: (entry.vendor, entry.name)))


@cache
def _globs() -> tuple[tuple[str, ModelEntry], ...]:
    return tuple((glob, entry) for entry in all_models() for glob in (entry.name, *entry.match))


def _entry(document: dict[str, Any]) -> ModelEntry:
    known = dict(document)
    reasoning = known.pop("reasoning", None)
    return ModelEntry(
        match=tuple(known.pop("match", ())),
        inputs=frozenset(known.pop("inputs", ())),
        reasoning=None
        if reasoning is None
        else Reasoning(**{**reasoning, "efforts": tuple(reasoning.get("efforts", ()))}),
        price=Price(**known.pop("price", {})),
        **known,
    )
