"""The identity of a config: a short hash that changes whenever anything in it does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.config.source import Source

_FILE = "file:"


def content_hash(source: Source) -> str:
    """Return a short hash of a config's values, variables replaced and secret files read.

    It is shown without a token, and secrets are among the values: scrypt makes each guess at one
    cost milliseconds, and 48 bits hold too little to read one out of.
    """
    packed = json.dumps(source.values, default=str).encode()
    for path in secret_files(source):
        try:
            packed += b"\0" + path.read_bytes()
        except OSError:
            packed += b"\0\0"
    digest = hashlib.scrypt(packed, salt=b"dragoman.config", n=2**12, r=8, p=1, dklen=6)
    return digest.hex()


def secret_files(source: Source) -> list[Path]:
    """Return the files that a config names with `file:`."""
    names = filter(_names_file, _texts(source.values))
    return [source.beside(name.removeprefix(_FILE)) for name in names]


def _names_file(text: str) -> bool:
    return text.startswith(_FILE) and "\0" not in text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
