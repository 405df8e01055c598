"""Labelled pairs of questions, read from the data sets: whether one's answer serves the other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from models.data.files import read_json, read_json_lines, read_text


@dataclass(frozen=True, slots=True)
class Pair:
    """Two questions and whether the answer to the second serves the first.

    Args:
        asked: the question of now.
        stored: the question that was answered.
        serves: whether that answer serves.
        source: data set.
        kind: test or failure class within it.
        group: what is held back as a whole: a test, a query, a passage.
    """

    asked: str
    stored: str
    serves: bool
    source: str
    kind: str
    group: str


def checklist(data: Path, most: int) -> list[Pair]:
    """Read CheckList's template tests, some pairs of each.

    Swaps in "Are A smaller than B?" are left out: the file says that they mean the same, but their
    answers are opposite.

    Args:
        data: folder of the material.
        most: pairs of a test and label.
    """
    rows = [
        line.split("\t")
        for line in read_text(data / "cache" / "checklist_qqp_templates.tsv").splitlines()[1:]
    ]
    tests: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for capability, test, label, first, second in rows:
        if test == "Order does not matter for comparison" and "What" not in first + second:
            continue
        tests.setdefault((capability, test, label), []).append((first, second))
    generator = np.random.default_rng(0)
    found = []
    for (_, test, label), pairs in sorted(tests.items()):
        found += [
            Pair(first, second, label == "1", "checklist", test, test)
            for first, second in (pairs[at] for at in generator.permutation(len(pairs))[:most])
        ]
    return found


def gsm8k(data: Path) -> list[Pair]:
    """Read rephrasings of GSM8K's questions; with one number changed they are another question."""
    originals = [row["question"] for row in read_json_lines(data / "guard" / "gsm8k_test.jsonl")]
    rephrased = [row["text"] for row in read_json_lines(data / "cache" / "rephrase_gsm8k.jsonl")]
    generator = np.random.default_rng(1)
    found = []
    for at, (original, text) in enumerate(zip(originals, rephrased, strict=True)):
        asked = text.removeprefix("Question: ").split("\nAnswer")[0].strip()
        group = f"gsm8k {at}"
        found.append(Pair(asked, original, True, "gsm8k", "rephrased", group))
        other = changed_number(asked, generator)
        if other:
            found.append(Pair(other, original, False, "gsm8k", "number", group))
    return found


def changed_number(text: str, generator: np.random.Generator) -> str | None:
    """Return a text with one of its numbers changed; None if it has none."""
    places = list(re.finditer(r"\d+", text))
    if not places:
        return None
    chosen = places[generator.integers(len(places))]
    number = int(chosen[0])
    other = number + int(generator.integers(1, 2 + max(number // 2, 3)))
    return text[: chosen.start()] + str(other) + text[chosen.end() :]


def advising(data: Path, each: int) -> list[Pair]:
    """Read wordings of database queries: other values make another question.

    Args:
        data: folder of the material.
        each: pairs of a kind and query.
    """
    generator = np.random.default_rng(2)
    found = []
    for at, query in enumerate(read_json(data / "cache" / "text2sql_advising.json")):
        sentences = query["sentences"]
        group = f"advising {at}"
        for _ in range(each if len(sentences) > 1 else 0):
            first, second = (sentences[i] for i in generator.choice(len(sentences), 2, False))
            values = {name: value for name, value in first["variables"].items() if value}
            stored = _filled(second["text"], values)
            found.append(
                Pair(_filled(first["text"], values), stored, True, "advising", "wording", group)
            )
            third = sentences[generator.integers(len(sentences))]
            others = values | {k: v for k, v in third["variables"].items() if v}
            moved = _filled(first["text"], others)
            # A wording without the value that moved is the same question still.
            if any(
                name in first["text"] and name in second["text"] and others[name] != value
                for name, value in values.items()
            ):
                found.append(Pair(moved, stored, False, "advising", "value", group))
    return found


def disfluent(data: Path, most: int) -> list[Pair]:
    """Read questions with slips of the tongue, and pairs of one passage's questions.

    Args:
        data: folder of the material.
        most: pairs of each label.
    """
    found = []
    rows = list(read_json(data / "cache" / "disflqa_train.json").values())
    generator = np.random.default_rng(3)
    for at in generator.permutation(len(rows) - 1)[:most]:
        one, after = rows[at], rows[at + 1]
        group = f"disfl {at}"
        found.append(Pair(one["disfluent"], one["original"], True, "disfl", "slip", group))
        # Questions of one passage stand beside each other.
        if one["original"].lower() != after["original"].lower():
            found.append(Pair(after["original"], one["original"], False, "disfl", "passage", group))
    return found


def mock(data: Path) -> list[Pair]:
    """Read GPTCache's sentences and their paraphrases."""
    rows = json.loads(read_text(data / "cache" / "gptcache_mock_data.json"))
    return [
        Pair(row["similar"], row["origin"], True, "mock", "paraphrase", f"mock {at}")
        for at, row in enumerate(rows)
    ]


def medical(data: Path) -> list[Pair]:
    """Read recognised question entailment: patients' questions and those of a FAQ."""
    found = []
    root = ET.fromstring(read_text(data / "cache" / "RQE_Train_8588_AMIA2016.xml"))  # noqa: S314 - a pinned file
    for at, pair in enumerate(root.iter("pair")):
        asked, stored = ((pair.findtext(tag) or "").strip() for tag in ("chq", "faq"))
        # A question that entails another is not always the same one: only near-equal lengths.
        if asked != stored and 0.6 < len(asked) / max(len(stored), 1) < 1.7:
            found.append(
                Pair(asked, stored, pair.get("value") == "true", "rqe", "medical", f"rqe {at}")
            )
    return found


def negated(data: Path, most: int) -> Iterator[Pair]:
    """Read negations and antonyms of sentences, for evaluation only: they are share-alike.

    Args:
        data: folder of the material.
        most: pairs of a file.
    """
    generator = np.random.default_rng(4)
    for path in sorted((data / "cache").glob("cannot_*.tsv.xz")):
        lines = read_text(path).splitlines()
        rows = [line.split("\t") for line in lines[1:]]
        labelled = "label" in lines[0]
        for at in generator.permutation(len(rows))[:most]:
            row = rows[at]
            serves = labelled and row[2] == "0"
            kind = path.name.removeprefix("cannot_").split(".")[0].rstrip("_012345")
            yield Pair(row[0], row[1], serves, "cannot", kind, kind)


def _filled(text: str, values: dict[str, str]) -> str:
    for name in sorted(values, key=len, reverse=True):
        text = text.replace(name, values[name])
    return text
