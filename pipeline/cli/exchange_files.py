"""The files of `explain --request`: a request, and an answer to run back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from pipeline.api.headers import HeaderEdits
from pipeline.cli.output import read_json
from pipeline.errors import InvalidHeader
from pipeline.host.replies import JSON, SSE
from pipeline.host.verdicts import Pairs

_FIELDS = frozenset({"method", "path", "headers", "body"})


@dataclass(frozen=True, slots=True)
class RequestFile:
    """A request as Envoy would deliver it.

    Args:
        pairs: headers, pseudo-headers first, names lower-case.
        body: the body's bytes, empty for none.
    """

    pairs: Pairs
    body: bytes


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """An answer as a provider would give it.

    Args:
        pairs: headers.
        body: the body's bytes.
        streamed: whether it is a stream of events.
    """

    pairs: Pairs
    body: bytes
    streamed: bool


def read_request_file(file: Path, path: str) -> RequestFile:
    """Read a request.

    Args:
        file: an object with `method`, `path`, `headers`, `body`; or a body alone.
        path: the path of a body alone.

    Raises:
        typer.BadParameter: the file is neither.
    """
    raw = file.read_bytes()
    value = read_json(raw.decode("utf-8", "replace"), str(file))
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{file} holds no JSON object")
    described = value if value.keys() <= _FIELDS and "path" in value else {"path": path}
    body = raw if described is not value else _body(value.get("body"))
    method = str(described.get("method", "POST" if body else "GET")).upper()
    headers = _headers(described.get("headers", {}), file)
    host = headers.pop("host", "localhost")
    if body:
        headers.setdefault("content-type", JSON)
    pseudo = {":method": method, ":path": str(described["path"]), ":authority": host}
    pairs = {**pseudo, ":scheme": "https", **headers}
    return RequestFile(tuple((k, v.encode("utf-8", "replace")) for k, v in pairs.items()), body)


def read_answer_file(file: Path) -> AnswerFile:
    """Read an answer: JSON when it parses as such, else a stream of events.

    Raises:
        typer.BadParameter: it is neither.
    """
    body = file.read_bytes()
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        if b"data:" not in body:
            raise typer.BadParameter(f"{file} is neither JSON nor a stream of events") from None
        streamed = True
    else:
        streamed = False
    content_type = SSE if streamed else JSON
    pairs = ((":status", b"200"), ("content-type", content_type.encode()))
    return AnswerFile(pairs, body, streamed)


def _body(body: Any) -> bytes:
    if body is None:
        return b""
    return (body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)).encode(
        "utf-8", "replace"
    )


def _headers(headers: Any, file: Path) -> dict[str, str]:
    if not isinstance(headers, dict):
        raise typer.BadParameter(f"`headers` in {file} is no object of names to values")
    given = {str(name).lower(): str(value) for name, value in headers.items()}
    try:
        HeaderEdits(set=given)
    except InvalidHeader as error:
        raise typer.BadParameter(f"`headers` in {file}: {error}") from None
    return given
