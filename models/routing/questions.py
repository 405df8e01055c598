"""Questions with the answers of weak and strong models judged, by category."""

from __future__ import annotations

import csv
import io
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.files import read_json, read_json_lines, read_text

Floats = NDArray[np.float64]

# The file keeps its fourteen tasks one after the other, and does not name them.
TASKS = {
    "logic_grid": 0,
    "word_problems": 150,
    "commongen": 350,
    "natural_questions": 500,
    "trivia": 1000,
    "reading": 1500,
    "gpqa": 2000,
    "mbpp": 2448,
    "humaneval": 2946,
    "gsm8k": 3110,
    "commonsense": 3610,
    "math": 4110,
    "openbook": 4614,
    "arc": 5110,
}


@dataclass(frozen=True, slots=True)
class Pair:
    """Who may answer, by name in the data.

    Args:
        weak: the cheap model of the evaluation.
        strong: the dear one.
        weak_ones: models as weak, whose answers say with less noise what is hard.
        strong_ones: models as strong, likewise.
    """

    weak: str
    strong: str
    weak_ones: tuple[str, ...]
    strong_ones: tuple[str, ...]


MMLU_PRO = Pair(
    "Meta-Llama-3_1-8B-Instruct",
    "gemini-1.5-pro-002",
    (
        "Meta-Llama-3_1-8B-Instruct",
        "Meta-Llama-3-8B",
        "Meta-Llama-3_1-8B",
        "Mistral-7B-Instruct-v0.2",
        "Mistral-7B-v0.1",
        "Phi-3-mini-4k-instruct",
        "gemma-7b",
        "mathstral-7B",
        "Qwen1.5-7B-Chat",
    ),
    (
        "gemini-1.5-pro-002",
        "gemini-1.5-flash-002",
        "Meta-Llama-3_1-70B-Instruct",
    ),
)
LLM_ROUTER = Pair(
    "mistral-7b-instruct-v0.3",
    "llama-3.1-nemotron-51b-instruct",
    (
        "mistral-7b-instruct-v0.3",
        "gemma-2-9b-it",
        "llama-3.1-8b-instruct",
        "qwen2.5-7b-instruct",
        "codegemma-7b",
    ),
    ("llama-3.3-nemotron-super-49b-v1", "llama-3.1-nemotron-51b-instruct"),
)


@dataclass(frozen=True, slots=True)
class Questions:
    """One data set.

    Args:
        name: of the data set.
        texts: as a client would send them.
        categories: by question.
        weak: quality of the weak model's answers, 0 to 1.
        strong: of the strong one's.
        suffices: share of the pairs of a weak and a strong model in which the weak one's answer
            was no worse.
    """

    name: str
    texts: tuple[str, ...]
    categories: NDArray[np.str_]
    weak: Floats
    strong: Floats
    suffices: Floats

    def __len__(self) -> int:
        return len(self.texts)


def mmlu_pro(data: Path) -> Questions:
    """Read MMLU-Pro: a question with its lettered options; models that left gaps there count 0."""
    rows = list(read_json_lines(data / "routing" / "mmlupro_questions.jsonl"))
    table = csv.DictReader(
        io.StringIO(read_text(data / "routing" / "mmlupro_correct_29models.csv"))
    )
    correct = {row["question_id"]: row for row in table}
    scores = [correct[str(row["question_id"])] for row in rows]
    return _questions(
        "mmlu_pro",
        [_with_options(row) for row in rows],
        [row["category"] for row in rows],
        [{name: float(value or 0) for name, value in _models(row).items()} for row in scores],
        MMLU_PRO,
    )


def llm_router(data: Path) -> Questions:
    """Read LLMRouter's fourteen tasks."""
    rows = read_json(data / "routing" / "llmrouter_9models_train.json")
    starts, names = list(TASKS.values()), list(TASKS)
    return _questions(
        "llm_router",
        [row["question"] for row in rows],
        [names[bisect_right(starts, at) - 1] for at in range(len(rows))],
        [row["scores"] for row in rows],
        LLM_ROUTER,
    )


def _questions(
    name: str,
    texts: list[str],
    categories: list[str],
    scores: list[Mapping[str, float]],
    pair: Pair,
) -> Questions:
    weak = np.array([[row.get(model, 0.0) for model in pair.weak_ones] for row in scores])
    strong = np.array([[row.get(model, 0.0) for model in pair.strong_ones] for row in scores])
    return Questions(
        name,
        tuple(texts),
        np.array(categories),
        np.array([row.get(pair.weak, 0.0) for row in scores]),
        np.array([row.get(pair.strong, 0.0) for row in scores]),
        (weak[:, :, None] >= strong[:, None, :]).mean(axis=(1, 2)),
    )


def _models(row: Mapping[str, str]) -> dict[str, str]:
    return {name: row[name] for name in row if name not in {"question_id", "category", "src"}}


def _with_options(row: Mapping[str, Any]) -> str:
    letters = "ABCDEFGHIJ"
    options = [f"{letter}. {text}" for letter, text in zip(letters, row["options"], strict=False)]
    return "\n".join([row["question"], *options])
