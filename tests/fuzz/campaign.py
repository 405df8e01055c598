"""A fuzzing campaign: which targets there are, their corpora, and what runs them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from tests.fuzz import targets

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(targets.__path__)))


def load(name: str) -> ModuleType:
    """Import a target."""
    return importlib.import_module(f"tests.fuzz.targets.{name}")


def inputs(name: str) -> Iterator[Path]:
    """Return a target's committed inputs in a stable order."""
    yield from sorted((CORPUS / name).iterdir())


def write_dictionary(target: ModuleType, path: Path) -> None:
    """Write a target's tokens as libFuzzer reads them."""
    lines = ("".join(f"\\x{byte:02x}" for byte in token) for token in target.TOKENS if token)
    path.write_text("".join(f'"{line}"\n' for line in lines), encoding="ascii")
