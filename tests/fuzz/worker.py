"""One target under libFuzzer: `python -m tests.fuzz.worker TARGET [libFuzzer's arguments]`."""

from __future__ import annotations

import sys

import atheris

from tests.fuzz.campaign import load
from tests.fuzz.json_mutator import mutate_json


def main(name: str, arguments: list[str]) -> None:
    """Fuzz until libFuzzer has enough; it ends the process."""
    with atheris.instrument_imports(include=["pipeline", "plugins"]):
        target = load(name)
    options = {}
    words = getattr(target, "WORDS", None)
    if words is not None:

        def mutate(data: bytes, max_size: int, seed: int) -> bytes:
            mutated = mutate_json(data, seed, words, lambda raw: atheris.Mutate(raw, max_size))
            return mutated[:max_size]

        options["custom_mutator"] = mutate
    atheris.Setup([sys.argv[0], *arguments], target.check, **options)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
