"""`dragoman catalog`: what is known of models."""

from __future__ import annotations

from dataclasses import asdict
from difflib import get_close_matches
from typing import Any

from rich.table import Table

from pipeline.api.catalog import ModelEntry, all_models, find_model
from pipeline.cli.output import console, print_json
from pipeline.errors import ConfigError, Problem


def catalog(model: str | None, *, as_json: bool) -> None:
    """Print a model's entry by any provider's name of it, or a line for each.

    Raises:
        ConfigError: nothing is known of it.
    """
    if model is None:
        entries = all_models()
        if as_json:
            print_json([_plain(entry) for entry in entries])
        else:
            console().print(_overview(entries))
        return
    entry = find_model(model)
    if entry is None:
        near = get_close_matches(model, [one.name for one in all_models()], n=3)
        hint = f"; there are {', '.join(near)}" if near else ""
        raise ConfigError(Problem(model, f"the catalog has no such model{hint}"))
    if as_json:
        print_json(_plain(entry))
    else:
        console().print(_details(entry))


def _plain(entry: ModelEntry) -> dict[str, Any]:
    return asdict(entry) | {"inputs": sorted(entry.inputs)}


def _overview(entries: tuple[ModelEntry, ...]) -> Table:
    table = Table(
        "model", "vendor", "kind", "context", "output", "reads", "reasoning", "$/M in, out"
    )
    for entry in entries:
        table.add_row(
            entry.name,
            entry.vendor,
            entry.kind,
            f"{entry.context_tokens:,}" if entry.context_tokens else "-",
            f"{entry.max_output_tokens:,}" if entry.max_output_tokens else "-",
            ", ".join(["text", *sorted(entry.inputs)]),
            _reasoning(entry),
            f"{_dollars(entry.price.input)}, {_dollars(entry.price.output)}",
        )
    return table


def _details(entry: ModelEntry) -> Table:
    table = Table(show_header=False, title=entry.name)
    price = entry.price
    table.add_row("vendor", entry.vendor)
    table.add_row("kind", entry.kind)
    table.add_row("names", ", ".join(entry.match))
    table.add_row("context", f"{entry.context_tokens:,} tokens")
    table.add_row("output", f"at most {entry.max_output_tokens:,} tokens")
    table.add_row("reads", ", ".join(["text", *sorted(entry.inputs)]))
    takes = ("tools", "parallel_tools", "json_schema", "sampling", "logprobs")
    table.add_row("takes", ", ".join(name for name in takes if getattr(entry, name)) or "-")
    table.add_row("reasoning", _reasoning(entry))
    table.add_row(
        "price",
        f"{_dollars(price.input)} in, {_dollars(price.cached_input)} cached, "
        f"{_dollars(price.cache_write)} cache write, {_dollars(price.output)} out "
        "(US dollars for a million tokens)",
    )
    return table


def _reasoning(entry: ModelEntry) -> str:
    how = entry.reasoning
    if how is None:
        return "-"
    words: list[str] = [*how.efforts]
    words += ["budget"] * how.budget + ["adaptive"] * how.adaptive + ["always on"] * how.always
    return ", ".join(words) or "yes"


def _dollars(price: float | None) -> str:
    return "-" if price is None else f"{price:g}"
