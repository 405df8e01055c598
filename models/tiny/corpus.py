"""The texts that the table learns from: questions, sentences, pieces of them, and made-up ones.

Left out: CLINC150, which the cache stream is measured on; what is share-alike; and attacks.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from models.data.files import read_json, read_json_lines, read_lines, read_rows, read_text
from models.tiny.requests import made_up

MAX_WORDS = 40
PIECES = 1  # of each sentence, beside the sentence itself
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_CONLL = ("btc_a", "btc_b", "btc_e", "btc_f", "btc_g", "btc_h", "wnut17train", "wnut17_dev")


def corpus(data: Path, words: list[str], seed: int, generated: int) -> list[str]:
    """Return distinct texts in an order of the seed.

    Args:
        data: the training material.
        words: that made-up requests are of, the commonest first.
        seed: of pieces, made-up requests and the order.
        generated: how many made-up requests there are.
    """
    generator = random.Random(seed)
    found: dict[str, None] = {}
    for text in _read(data):
        for sentence in _sentences(text):
            found.setdefault(sentence)
            for _ in range(PIECES):
                if piece := _piece(sentence, generator):
                    found.setdefault(piece)
    for _ in range(generated):
        found.setdefault(made_up(words, generator))
    texts = list(found)
    generator.shuffle(texts)
    return texts


def _sentences(text: str) -> Iterator[str]:
    whole = " ".join(text.split()[:MAX_WORDS])
    if whole:
        yield whole
    parts = [" ".join(part.split()[:MAX_WORDS]) for part in _SENTENCE.split(text[:2000])]
    for part in parts:
        if part.count(" ") >= 2 and part != whole:
            yield part


def _piece(sentence: str, generator: random.Random) -> str:
    words = sentence.split()
    if len(words) < 5:
        return ""
    length = generator.randint(2, min(14, len(words) - 1))
    start = generator.randint(0, len(words) - length)
    return " ".join(words[start : start + length])


def _read(data: Path) -> Iterator[str]:
    yield from _questions(data / "guard")
    yield from _pairs(data / "cache")
    yield from _entities(data / "pii")
    for row in read_json(data / "routing" / "llmrouter_9models_train.json"):
        yield row["question"]
    for row in read_json_lines(data / "routing" / "mmlupro_questions.jsonl"):
        yield row["question"]


# Files with one object a line, and the key of its text.
_LINES = {
    "promptshield_ultrachat200k_subset": "text",
    "promptshield_ifeval_prompts": "text",
    "arena_hard_v0.1_question": "prompt",
    "gsm8k_test": "question",
    "selfinstruct_seed_tasks": "instruction",
    "selfinstruct_user_oriented": "instruction",
    "oasst_en_100_message": "text",
}


def _questions(guard: Path) -> Iterator[str]:
    for row in read_rows(guard / "banking77_train.csv"):
        yield row["text"]
    for name, key in _LINES.items():
        for line in read_json_lines(guard / f"{name}.jsonl"):
            yield line[key]
    for line in read_json_lines(guard / "mt_bench_question.jsonl"):
        yield from line["turns"]
    yield from read_lines(guard / "fuzzyai_benign_prompts.txt")
    for row in read_rows(guard / "awesome_chatgpt_prompts_dcc5c5cb.csv"):
        yield row["prompt"]
    yield from (
        row["text"]
        for row in read_rows(guard / "neuralchemy_normalized.csv")
        if row["label"] == "0"
    )
    for entry in read_json(guard / "purplellama_mitre_frr.json"):
        yield entry["mutated_prompt"]


def _pairs(cache: Path) -> Iterator[str]:
    for pair in read_json(cache / "disflqa_train.json").values():
        yield pair["original"]
        yield pair["disfluent"]
    for entry in read_json(cache / "gptcache_mock_data.json"):
        yield entry["origin"]
        yield entry["similar"]
    for element in ET.fromstring(read_text(cache / "RQE_Train_8588_AMIA2016.xml")).iter():  # noqa: S314
        if element.tag in {"chq", "faq"} and element.text:
            yield element.text


def _entities(pii: Path) -> Iterator[str]:
    for name in _CONLL:
        for block in re.split(r"\n\s*\n", read_text(pii / f"{name}.conll")):
            yield " ".join(line.split("\t")[0].split(" ")[0] for line in block.splitlines())
    for block in re.split(r"\n\s*\n", read_text(pii / "wikigold.conll.txt")):
        yield " ".join(line.split(" ")[0] for line in block.splitlines())
    for kind in ("blog", "mixed", "news", "scientific", "transcript"):
        for line in read_json_lines(pii / f"marfago_synthetic_{kind}_100.jsonl"):
            yield line["text"]
