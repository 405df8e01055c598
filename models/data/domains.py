"""Texts by what they are about: a dozen broad classes, from intents, exam subjects and tasks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.data.example import Part, key, share
from models.data.files import data_folder, read_json, read_json_lines, read_rows

LABELS = (
    "assistant", "business", "code", "finance", "food", "health", "humanities", "mathematics",
    "science", "smalltalk", "travel", "writing",
)  # fmt: skip

# Of CLINC150. Intents that belong to no class, such as definitions, are left out.
_INTENTS = {
    "assistant": (
        "alarm calendar calendar_update cancel change_accent change_ai_name change_language "
        "change_speed change_user_name change_volume date find_phone flip_coin make_call "
        "meeting_schedule next_song play_music reminder reminder_update repeat reset_settings "
        "roll_dice schedule_meeting share_location shopping_list shopping_list_update smart_home "
        "sync_device text time timer timezone todo_list todo_list_update update_playlist what_song "
        "whisper_mode next_holiday weather"
    ),
    "finance": (
        "account_blocked apr balance bill_balance bill_due card_declined credit_limit "
        "credit_limit_change credit_score damaged_card direct_deposit exchange_rate "
        "expiration_date freeze_account improve_credit_score income insurance insurance_change "
        "interest_rate international_fees min_payment new_card order_checks pay_bill payday "
        "pin_change redeem_rewards replacement_card_duration report_fraud report_lost_card "
        "rewards_balance rollover_401k routing spending_history taxes transactions transfer w2"
    ),
    "food": (
        "accept_reservations cancel_reservation confirm_reservation cook_time food_last how_busy "
        "ingredient_substitution ingredients_list meal_suggestion recipe restaurant_reservation "
        "restaurant_reviews restaurant_suggestion"
    ),
    "health": "calories nutrition_info vaccines",
    "smalltalk": (
        "are_you_a_bot do_you_have_pets fun_fact goodbye greeting how_old_are_you maybe "
        "meaning_of_life no tell_joke thank_you user_name what_are_your_hobbies "
        "what_can_i_ask_you what_is_your_name where_are_you_from who_do_you_work_for who_made_you yes"
    ),
    "travel": (
        "book_flight book_hotel car_rental carry_on current_location directions distance "
        "flight_status gas international_visa lost_luggage mpg plug_type traffic travel_alert "
        "travel_notification travel_suggestion uber"
    ),
    "business": "pto_balance pto_request pto_request_status pto_used application_status",
    "mathematics": "calculator measurement_conversion",
}
_BY_INTENT = {intent: label for label, intents in _INTENTS.items() for intent in intents.split()}
_SUBJECTS = {
    "chemistry": "science", "engineering": "science", "physics": "science", "biology": "science",
    "business": "business", "economics": "finance", "math": "mathematics",
    "psychology": "health", "computer science": "code",
}  # fmt: skip
# Instructions that nobody labelled: those that say themselves what they are about.
_SAYS = (
    ("code", re.compile(
        r"\b(python|javascript|java|c\+\+|html|css|sql|regex|bash|shell script|source code|compiler|"
        r"django|react|api endpoint|unit test|algorithm in|program that|git)\b", re.IGNORECASE)),
    ("writing", re.compile(
        r"\b(write|compose|create|draft|craft) (me )?(a|an|the) ([\w-]+ ){0,3}(poem|story|essay|song|haiku|"
        r"novel|letter|speech|screenplay|blog post|article|limerick|scene|dialogue|script for a)\b",
        re.IGNORECASE)),
    ("food", re.compile(r"\b(recipe|cook|bake|ingredient|cuisine|dish|dessert)\w*\b", re.IGNORECASE)),
    ("travel", re.compile(r"\b(itinerary|travel|tourist|flight|hotel|road trip|backpack)\w*\b", re.IGNORECASE)),
    ("health", re.compile(
        r"\b(symptom|disease|doctor|medicine|medical|patient|vitamin|workout|mental health|therapy|"
        r"nutrition|pregnan)\w*\b", re.IGNORECASE)),
    ("finance", re.compile(
        r"\b(invest|stock market|mortgage|loan|tax|interest rate|bond|retirement|budget|inflation)\w*\b",
        re.IGNORECASE)),
    ("business", re.compile(
        r"\b(marketing|startup|customer|employee|company's|sales|manager|resume|cover letter|"
        r"business plan|product description)\w*\b", re.IGNORECASE)),
    ("humanities", re.compile(
        r"\b(century|history|historical|philosoph|war of|world war|empire|king|queen|president|"
        r"religion|bible|novelist|painter|constitution|treaty|ancient|revolution)\w*\b", re.IGNORECASE)),
    ("mathematics", re.compile(r"\b(equation|theorem|integral|derivative|polynomial|probability that|"
                               r"prime number|matrix|calculate the)\b", re.IGNORECASE)),
    ("science", re.compile(
        r"\b(physics|chemical|molecule|atom|planet|species|evolution|climate|energy|quantum|cell|"
        r"protein|gravity|galaxy)\w*\b", re.IGNORECASE)),
)  # fmt: skip
_RARE = frozenset({"health", "mathematics", "business"})
_APART = frozenset({"dolly15k", "mt_bench", "arena_hard", "ifeval"})


@dataclass(frozen=True, slots=True)
class Topic:
    """A text and what it is about.

    Args:
        text: as a client would send it.
        label: of `LABELS`.
        source: the file it comes from.
    """

    text: str
    label: str
    source: str


def topics(folder: Path | None = None) -> dict[Part, list[Topic]]:
    """Return the texts by part; the test's instructions come from sources of their own.

    Args:
        folder: the training material; `data_folder()` if None.
    """
    parts: dict[Part, list[Topic]] = {"train": [], "calibration": [], "test": []}
    seen = set()
    for topic in _read(folder or data_folder()):
        if (name := key(topic.text)) in seen:
            continue
        seen.add(name)
        place = share(topic.text, "topics")
        apart = topic.source in _APART
        parts[
            "test" if apart or place < 0.12 else "calibration" if place < 0.22 else "train"
        ].append(topic)
    return parts


def _read(folder: Path) -> Iterator[Topic]:
    guard = folder / "guard"
    yield from _queries(guard)
    yield from _tasks(guard, folder / "routing")
    for source, texts in _instructions(guard):
        for text in texts:
            if label := said(text):
                yield Topic(text, label, source)


def _queries(guard: Path) -> Iterator[Topic]:
    """Yield short queries, more of the rare classes than of the common ones."""
    for rows in read_json(guard / "clinc150_data_full.json").values():
        for text, intent in rows:
            label = _BY_INTENT.get(intent)
            if label and share(text, "amount") < (0.9 if label in _RARE else 0.16):
                yield Topic(text, label, "clinc150")
    for row in read_rows(guard / "banking77_train.csv"):
        if share(row["text"], "amount") < 0.06:
            yield Topic(row["text"], "finance", "banking77")


def _tasks(guard: Path, routing: Path) -> Iterator[Topic]:
    """Yield exam questions, word problems and programs to write."""
    for row in read_json_lines(routing / "mmlupro_questions.jsonl"):
        if share(row["question"], "amount") < 0.3:
            yield Topic(row["question"], _SUBJECTS[row["category"]], "mmlu_pro")
    for row in read_json_lines(guard / "gsm8k_test.jsonl"):
        if share(row["question"], "amount") < 0.3:
            yield Topic(row["question"], "mathematics", "gsm8k")
    for row in read_json(guard / "purplellama_mitre_frr.json"):
        if share(row["mutated_prompt"], "amount") < 0.4:
            yield Topic(row["mutated_prompt"], "code", "purplellama")


def _instructions(guard: Path) -> Iterator[tuple[str, Iterator[str]]]:
    """Yield sources of instructions with their texts."""
    for name in ("dolly15k", "ultrachat200k"):
        rows = read_json_lines(guard / f"promptshield_{name}_subset.jsonl")
        yield name, (row["text"][:800] for row in rows)
    rows = read_json_lines(guard / "arena_hard_v0.1_question.jsonl")
    yield "arena_hard", (row["prompt"][:800] for row in rows)
    rows = read_json_lines(guard / "promptshield_ifeval_prompts.jsonl")
    yield "ifeval", (row["text"] for row in rows)
    rows = read_json_lines(guard / "mt_bench_question.jsonl")
    yield "mt_bench", (turn for row in rows for turn in row["turns"])


def said(text: str) -> str | None:
    """Return the class that a text names itself, if it names one only."""
    found = [label for label, words in _SAYS if words.search(text)]
    return found[0] if len(found) == 1 else None
