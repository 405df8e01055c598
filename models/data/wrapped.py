"""Spikee's seeds combined: wrappers that free or redirect a model, around what is asked for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from models.data.example import Example, benign
from models.data.files import read_json_lines, read_text

_PLACE = "<INSTRUCTION>"
_FREEING = frozenset({"dan", "no-limits", "policy-puppetry", "policy-puppet", "hidden-function"})
# Without any word to the model's rules: an attack only to those who know who may ask for what.
_SILENT = frozenset(
    {"no-jailbreak", "mission", "emergency", "academic", "challenge", "experimental", "poetry"}
)


def spikee(folder: Path, amount: int, seed: int) -> Iterator[Example]:
    """Yield wrapped instructions: alone those that free a model, in a document the others.

    Args:
        folder: of the guard data.
        amount: how many.
        seed: of the choices.
    """
    chance = random.Random(seed)
    spikee_folder = folder / "spikee"
    documents = sorted(
        {
            row["document"]
            for path in spikee_folder.glob("*__base_user_inputs.jsonl")
            for row in read_json_lines(path)
            if _PLACE not in row["document"] and "PLACEHOLDER" not in row["document"]
        }
    )
    wrappers, asked = {}, {}
    for path in sorted(spikee_folder.glob("*__jailbreaks.jsonl")):
        for row in read_json_lines(path):
            if row["jailbreak_type"] not in _SILENT and row.get("lang", "en") == "en":
                wrappers[row["text"]] = row["jailbreak_type"]
    for path in sorted(spikee_folder.glob("*__instructions.jsonl")):
        for row in read_json_lines(path):
            if row.get("lang", "en") == "en":
                asked[row["instruction"]] = row["instruction_type"]
    texts = sorted(wrappers)
    for number in range(amount):
        wrapper = texts[number % len(texts)]
        wish = chance.choice(sorted(asked))
        frees = wrappers[wrapper] in _FREEING
        text = wrapper.replace(_PLACE, wish.rstrip("."))
        yield Example(
            text if frees else f"{chance.choice(documents)}\n{text}",
            "spikee",
            jailbreak=True if frees else None,
            injection=None if frees else True,
        )
    for wish, kind in asked.items():
        if kind == "sysmsg-extract":
            yield Example(wish, "spikee", injection=True)


def spikee_system_prompts(folder: Path) -> Iterator[Example]:
    """Yield system prompts that forbid and defend: they are no attack."""
    import tomllib

    seen = set()
    for path in sorted((folder / "spikee").glob("*__system_messages.toml")):
        for row in tomllib.loads(read_text(path))["configurations"]:
            text = row["system_message"].strip()
            if text not in seen:
                seen.add(text)
                yield benign(text, "spikee_system_prompts", trigger=True)
