"""`python -m models.tiny`: distil the trunk into `embeddings.npz` and copy its tokenizer."""

from __future__ import annotations

import argparse
from pathlib import Path

from models.tiny import table
from models.tiny.building import CACHE, FOLDER, learned_table, trunk_tokenizer
from models.tiny.learn import Settings


def main() -> None:
    """Build the tiny tier's embedding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=CACHE, help="keeps the trunk's embeddings")
    parser.add_argument("--output", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    rows = learned_table(arguments.cache, Settings())
    table.save(arguments.output / "embeddings.npz", rows)
    trunk_tokenizer().save(str(arguments.output / "tokenizer.json"), pretty=False)


if __name__ == "__main__":
    main()
