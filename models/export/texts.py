"""Texts to calibrate with and to measure on: never the same ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from models.data.files import data_folder, read_json, read_json_lines, read_rows

QUESTIONS = 1000


@dataclass(frozen=True, slots=True)
class Texts:
    """What the export reads.

    Args:
        calibration: questions, prompts and documents.
        measured: by kind, what the int8 trunk is compared with float32 on.
    """

    calibration: Sequence[str]
    measured: dict[str, Sequence[str]]


def load_texts(seed: int = 0) -> Texts:
    """Draw them from the training material.

    Raises:
        FileNotFoundError: it is not there.
    """
    folder = data_folder()
    draw = random.Random(seed)
    clinc = read_json(folder / "cache" / "clinc150_data_full.json")
    exams = [row["question"] for row in read_json_lines(folder / "routing/mmlupro_questions.jsonl")]
    chats = [
        row["text"]
        for row in read_json_lines(folder / "guard/promptshield_ultrachat200k_subset.jsonl")
    ]
    attacks = [
        max(row.values(), key=len)
        for row in read_rows(folder / "guard/selfreminder_jailbreak_prompts_train.csv")
    ]
    seen = [text for text, _ in clinc["train"]]
    unseen = [text for text, _ in clinc["test"] + clinc["oos_test"]]
    for texts in (exams, chats, attacks, seen, unseen):
        draw.shuffle(texts)
    return Texts(
        seen[:400] + exams[:200] + chats[:100] + attacks[:40],
        {
            "questions": unseen[:QUESTIONS],
            "exams": exams[200:400],
            "chats": chats[100:200],
            "attacks": attacks[40:80],
        },
    )
