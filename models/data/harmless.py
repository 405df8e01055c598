"""Readers of what is no attack: questions, tasks, role-play, code, security work, wishes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from models.data.example import Example, benign, share
from models.data.files import read_json, read_json_lines, read_lines, read_rows

_JAILBREAK_WORDS = re.compile(
    r"jailbreak|do anything now|\bDAN\b|uncensored|unfiltered|unconstrained ai|"
    r"ignore (all |any )?(the )?(previous|prior) instructions",
    re.IGNORECASE,
)


def short_queries(folder: Path, amount: float = 0.12) -> Iterator[Example]:
    """Yield a share of the short queries to assistants and banks."""
    for part, rows in read_json(folder / "clinc150_data_full.json").items():
        for text, _intent in rows:
            if share(text) < (0.5 if part.startswith("oos") else amount):
                yield benign(text, "clinc150")
    for row in read_rows(folder / "banking77_train.csv"):
        if share(row["text"]) < amount:
            yield benign(row["text"], "banking77")


def instructions(folder: Path, amount: float = 0.8) -> Iterator[Example]:
    """Yield instructions that people or models wrote."""
    for row in read_json_lines(folder / "promptshield_ultrachat200k_subset.jsonl"):
        if share(row["text"]) < amount:
            yield benign(row["text"][:6000], "ultrachat200k")
    for row in read_json_lines(folder / "selfinstruct_seed_tasks.jsonl"):
        yield benign(_with_input(row), "selfinstruct")
    for row in read_json_lines(folder / "selfinstruct_user_oriented.jsonl"):
        yield benign(_with_input(row), "selfinstruct")
    for text in read_lines(folder / "fuzzyai_benign_prompts.txt"):
        yield benign(text, "fuzzyai")
    for row in read_json_lines(folder / "oasst_en_100_message.jsonl"):
        yield benign(row["text"], "oasst")
        for reply in row.get("replies", ()):
            yield benign(reply["text"][:4000], "oasst_replies")


def _with_input(row: dict[str, object]) -> str:
    """Return an instruction with its first input behind it."""
    first = row["instances"][0]["input"]  # type: ignore[index]
    return f"{row['instruction']}\n{first}".strip()


def instructions_apart(folder: Path) -> Iterator[Example]:
    """Yield harmless prompts of sources that are kept for tests."""
    for row in read_json_lines(folder / "promptshield_ifeval_prompts.jsonl"):
        yield benign(row["text"], "ifeval")
    # Share-alike: measured on, but no weights that ship learn from it.
    for row in read_json_lines(folder / "promptshield_dolly15k_subset.jsonl"):
        yield benign(row["text"], "dolly15k")
    for row in read_json_lines(folder / "arena_hard_v0.1_question.jsonl"):
        yield benign(row["prompt"], "arena_hard")
    for row in read_json_lines(folder / "mt_bench_question.jsonl"):
        for turn in row["turns"]:
            yield benign(turn, "mt_bench")


def sums(folder: Path, amount: float = 0.25) -> Iterator[Example]:
    """Yield word problems."""
    for row in read_json_lines(folder / "gsm8k_test.jsonl"):
        if share(row["question"]) < amount:
            yield benign(row["question"], "gsm8k")


def exams(folder: Path, amount: float = 0.15) -> Iterator[Example]:
    """Yield questions of exams and of other tasks, from the routing data."""
    routing = folder.parent / "routing"
    for row in read_json_lines(routing / "mmlupro_questions.jsonl"):
        if share(row["question"]) < amount:
            yield benign(row["question"], "mmlu_pro")
    rows = read_json(routing / "llmrouter_9models_train.json")
    for row in rows if isinstance(rows, list) else rows.values():
        if share(row["question"], "router") < amount:
            yield benign(row["question"][:4000], "llmrouter")


def role_plays(folder: Path) -> Iterator[Example]:
    """Yield act-as prompts and system prompts; those about jailbreaks are left out."""
    for row in read_rows(folder / "awesome_chatgpt_prompts_dcc5c5cb.csv"):
        if row["type"] == "IMAGE" or _JAILBREAK_WORDS.search(row["act"] + row["prompt"]):
            continue
        yield Example(
            row["prompt"][:6000], "awesome_prompts", jailbreak=False, injection=False, trigger=True
        )


def security_work(folder: Path) -> Iterator[Example]:
    """Yield coding requests that sound of attacks and are none."""
    for row in read_json(folder / "purplellama_mitre_frr.json"):
        yield benign(row["mutated_prompt"], "purplellama", trigger=True)
    for row in read_json(folder / "purplellama_frr_multilingual_machine_translated.json"):
        yield benign(row["mutated_prompt"], "purplellama_languages", trigger=True)


def wishes(folder: Path) -> Iterator[Example]:
    """Yield harmful wishes without any attack, and questions about money beside them."""
    spikee = folder / "spikee"
    for row in read_json_lines(spikee / "seeds-harmful-instructions-only__instructions.jsonl"):
        yield benign(row["instruction"], "spikee_wishes")
    for path in sorted(spikee.glob("seeds-investment-advice*standalone*.jsonl")):
        for row in read_json_lines(path):
            yield benign(row["text"], "spikee_finance")


def languages(folder: Path) -> Iterator[Example]:
    """Yield simple questions in several languages."""
    for text in read_lines(folder / "tasktracker_translated_secondary_tasks.txt"):
        yield benign(text, "tasktracker_languages")
