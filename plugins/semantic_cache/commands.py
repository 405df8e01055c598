"""`dragoman cache …`: what operators ask of the cache of the host that runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Column, Table

from pipeline.api import RunningHost
from plugins.semantic_cache.recalibration import fitted
from plugins.semantic_cache.verifying.calibration import curve

# A request of the admin server holds a mebibyte.
_BATCH_BYTES = 512 * 1024
_BATCH = 50
_IDS = ("id", "entry")
_Entry = Annotated[str, typer.Argument(help="The entry's id, as `x-dragoman-entry` has it.")]
_Tag = Annotated[str | None, typer.Option(help="Of entries with this tag.")]
_Tenant = Annotated[str | None, typer.Option(help="Of this tenant's entries.")]
_Model = Annotated[str | None, typer.Option(help="Of entries of this model.")]
_Route = Annotated[str | None, typer.Option(help="Of this route's entries.")]


def commands(host: RunningHost) -> typer.Typer:
    """Return the sub-commands for one instance.

    Args:
        host: where it runs.
    """
    app = typer.Typer(
        help="Look into the semantic cache of the host that runs.", no_args_is_help=True
    )
    _add_reading(app, host)
    _add_writing(app, host)
    _add_moving(app, host)
    _add_calibrate(app, host)
    return app


def _add_reading(app: typer.Typer, host: RunningHost) -> None:
    @app.command()
    def stats() -> None:
        """Show how much there is, by route."""
        _print(host.ask("GET", "stats"))

    @app.command()
    def lookup(
        prompt: Annotated[str, typer.Argument(help="What a user would say; `-` reads it.")],
        route: Annotated[str, typer.Option(help="The route's name.")],
        model: Annotated[str, typer.Option(help="The model asked for.")],
        tenant: Annotated[str, typer.Option(help="Whose call it would be.")] = "",
        call: Annotated[
            Path | None, typer.Option(help="A whole call's JSON instead of the prompt and model.")
        ] = None,
        dialect: Annotated[str, typer.Option(help="The call's API.")] = "openai.chat",
    ) -> None:
        """Say why a prompt would hit or miss, and which stored questions are near."""
        text = sys.stdin.read() if prompt == "-" else prompt
        said = {"model": model, "messages": [{"role": "user", "content": text}]}
        if call is not None:
            said = _object(call)
        document = {"route": route, "tenant": tenant, "dialect": dialect, "call": said}
        found = host.ask("POST", "lookup", document)
        near = found.pop("near", [])
        _print(found)
        _table(near, ("entry", "cosine", "probability", "differences"))

    @app.command("list")
    def list_(
        tag: _Tag = None,
        tenant: _Tenant = None,
        model: _Model = None,
        route: _Route = None,
        limit: Annotated[int, typer.Option(help="At most so many, newest first.")] = 100,
    ) -> None:
        """List entries, without their texts."""
        query = _query(tag=tag, tenant=tenant, model=model, route=route, limit=str(limit))
        entries = host.ask("GET", "entries", query=query)["entries"]
        _table(entries, ("id", "route", "tenant", "model", "tags", "body_bytes", "hits"))

    @app.command()
    def show(entry: _Entry) -> None:
        """Show an entry with its question and answer."""
        entries = host.ask("GET", f"entries/{entry}")["entries"]
        if not entries:
            _fail("there is no such entry")
        _print(entries[0])


def _add_writing(app: typer.Typer, host: RunningHost) -> None:
    @app.command()
    def delete(
        entry: Annotated[str | None, typer.Argument(help="An entry's id.")] = None,
        tag: _Tag = None,
        tenant: _Tenant = None,
        model: _Model = None,
        route: _Route = None,
    ) -> None:
        """Delete an entry, or all that have what the options say."""
        if entry is not None:
            _print(host.ask("DELETE", f"entries/{entry}"))
            return
        query = _query(tag=tag, tenant=tenant, model=model, route=route)
        if not query:
            _fail("say which entries: an id, --tag, --tenant, --model or --route")
        _print(host.ask("DELETE", "entries", query=query))

    @app.command()
    def flush() -> None:
        """Delete all entries."""
        _print(host.ask("POST", "flush"))

    @app.command()
    def feedback(
        entry: _Entry,
        verdict: Annotated[str, typer.Argument(help="`good` or `bad`; a bad entry leaves.")],
    ) -> None:
        """Say whether an entry answered what was asked."""
        _print(host.ask("POST", f"entries/{entry}/feedback", {"verdict": verdict}))


def _add_moving(app: typer.Typer, host: RunningHost) -> None:
    @app.command()
    def warm(
        file: Annotated[
            Path,
            typer.Argument(
                help="JSON lines: `route`, `tenant`, `dialect`, `call`, and `answer`, a text or "
                "the answer's JSON."
            ),
        ],
    ) -> None:
        """Store answers to calls that nobody has sent yet."""
        stored = 0
        for start, batch in _batches(_lines(file)):
            told = host.ask("POST", "warm", {"items": batch})
            stored += told["stored"]
            for at, why in told["refused"].items():
                Console(stderr=True).print(f"{file}:{start + int(at)}: {why}", highlight=False)
        _print({"stored": stored})

    @app.command("export")
    def export_(
        file: Annotated[Path, typer.Argument(help="Where to; texts stand in it as they are.")],
    ) -> None:
        """Write all entries as JSON lines."""
        count = 0
        position: str | None = ""
        with file.open("w", encoding="utf-8") as out:
            while position is not None:
                page = host.ask("GET", "export", query={"position": position})
                count += _written(out, page["records"])
                position = page["next"]
        _print({"exported": count})

    @app.command("import")
    def import_(file: Annotated[Path, typer.Argument(help="What `export` wrote.")]) -> None:
        """Read entries that another cache wrote."""
        count = 0
        for _, batch in _batches(_lines(file)):
            count += host.ask("POST", "import", {"records": batch})["imported"]
        _print({"imported": count})


def _add_calibrate(app: typer.Typer, host: RunningHost) -> None:
    @app.command()
    def calibrate(
        pairs: Annotated[
            Path | None,
            typer.Argument(
                help="JSON lines of pairs as they come: `asked`, `stored`, `serves`; if absent, "
                "what feedback and shadow checks taught the running host."
            ),
        ] = None,
        out: Annotated[
            Path | None, typer.Option(help="Writes the file for `semantic.calibration`.")
        ] = None,
        confidence: Annotated[
            float, typer.Option(help="That a threshold is within its budget.")
        ] = 0.95,
    ) -> None:
        """Fit thresholds to labelled pairs, and print the curve."""
        labels, embedder = _labels(host, pairs)
        if not labels:
            _fail("there are no labels yet")
        points = curve(labels)
        table = Table("threshold", "hit rate", "wrong hits", "95 % interval")
        for point in points:
            low, high = point.interval()
            table.add_row(
                f"{point.threshold:.4f}",
                f"{point.hit_rate:.3f}",
                f"{point.wrong} of {point.hits}",
                f"{low:.4f} to {high:.4f}",
            )
        Console().print(table)
        found = fitted(points, embedder, confidence)
        for budget, threshold in found.thresholds:
            said = f"{threshold:.4f}" if threshold <= 1 else "none: too few labels, or too wrong"
            Console().print(f"max_error {budget:.1%}: threshold {said}", highlight=False)
        if out is not None:
            out.write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _labels(host: RunningHost, pairs: Path | None) -> tuple[list[tuple[float, bool]], str]:
    if pairs is None:
        told = host.ask("GET", "labels")
        return [(float(p), bool(correct)) for p, correct in told["labels"]], told["embedder"]
    labels, embedder = [], ""
    for start, batch in _batches(_lines(pairs)):
        for at, pair in enumerate(batch):
            if not isinstance(pair.get("serves"), bool):
                _fail(f"{pairs}:{start + at}: a pair says whether it `serves`, true or false")
        told = host.ask("POST", "score", {"pairs": batch})
        embedder = told["embedder"]
        labels += [
            (probability, pair["serves"])
            for probability, pair in zip(told["probabilities"], batch, strict=True)
        ]
    return labels, embedder


def _written(out: IO[str], records: Iterable[dict[str, Any]]) -> int:
    count = 0
    for record in records:
        out.write(json.dumps(record, ensure_ascii=False) + "\n")
        count += 1
    return count


def _batches(lines: Iterator[dict[str, Any]]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Part lines into requests; with the number of the first line of each."""
    first, size = 1, 0
    batch: list[dict[str, Any]] = []
    for line in lines:
        length = len(json.dumps(line))
        if batch and (size + length > _BATCH_BYTES or len(batch) == _BATCH):
            yield first, batch
            first, size, batch = first + len(batch), 0, []
        batch.append(line)
        size += length
    if batch:
        yield first, batch


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        _fail(f"cannot read {file}: {getattr(error, 'strerror', None) or 'not UTF-8'}")
    for number, line in enumerate(text.splitlines(), 1):
        try:
            document = json.loads(line)
        except ValueError:
            _fail(f"{file}:{number}: no JSON")
        if not isinstance(document, dict):
            _fail(f"{file}:{number}: no JSON object")
        yield document


def _object(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        _fail(f"cannot read {file}: {getattr(error, 'strerror', None) or 'no JSON'}")
    if not isinstance(document, dict):
        _fail(f"{file}: no JSON object")
    return document


def _query(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _print(document: dict[str, Any]) -> None:
    Console().print_json(json.dumps(document, ensure_ascii=False))


def _table(rows: Iterable[dict[str, Any]], columns: tuple[str, ...]) -> None:
    # An id that is cut off is of no use.
    table = Table(*(Column(name, overflow="fold", no_wrap=name in _IDS) for name in columns))
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    if table.row_count:
        Console().print(table)


def _cell(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _fail(message: str) -> NoReturn:
    Console(stderr=True).print(f"error: {message}", highlight=False)
    raise typer.Exit(2)
