"""Where the training material lies, and its files opened by their format."""

from __future__ import annotations

import csv
import io
import json
import lzma
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VARIABLE = "DRAGOMAN_DATA"
DEFAULT = Path(__file__).parents[2].parent / "shared" / "data"


def data_folder() -> Path:
    """Return where the training material lies: `$DRAGOMAN_DATA`, or beside the repository.

    Raises:
        FileNotFoundError: it is not there.
    """
    folder = Path(os.environ.get(VARIABLE, DEFAULT))
    if not (folder / "guard").is_dir():
        raise FileNotFoundError(
            f"{folder} holds no training material; {VARIABLE} names where it is"
        )
    return folder


def has_data() -> bool:
    """Return whether there is training material."""
    return (Path(os.environ.get(VARIABLE, DEFAULT)) / "guard").is_dir()


def read_text(path: Path) -> str:
    """Return a file's text; `path` may leave out the `.xz` of a compressed one."""
    packed = path if path.suffix == ".xz" else path.with_name(path.name + ".xz")
    raw = path.read_bytes() if path.exists() and path != packed else None
    if raw is None:
        raw = lzma.decompress(packed.read_bytes())
    return raw.decode("utf-8-sig")


def read_json(path: Path) -> Any:
    """Return what a JSON file holds."""
    return json.loads(read_text(path))


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file with one on each line."""
    # Not splitlines(): texts hold line separators that JSON leaves unescaped.
    for line in read_text(path).split("\n"):
        if line.strip():
            yield json.loads(line)


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file with a header."""
    csv.field_size_limit(sys.maxsize)
    yield from csv.DictReader(io.StringIO(read_text(path), newline=""))


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file that hold something."""
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]
