"""The whole of the labelled texts, split by source."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from models.data import attacks, harmless, indirect, wrapped
from models.data.evasions import EVASIONS, disguise
from models.data.example import Example, Part, deduplicate, key, share
from models.data.files import data_folder
from models.data.foreign import foreign_requests, short_messages
from models.data.generated import generated_attacks
from models.data.letters import letters
from models.data.twins import harmless_twins

SEED = 5
_CALIBRATION = frozenset(
    {"garak_leaks", "giskard_hijacks", "payloads", "selfinstruct", "oasst", "spikee_finance"}
)
_TEST = frozenset(
    {
        "pif", "neuralchemy", "spikee", "bipia_email", "ifeval", "arena_hard", "mt_bench",
        "purplellama", "purplellama_languages", "dolly15k", "spikee_wishes", "spikee_system_prompts", "hinglish",
    }
)  # fmt: skip
# Split by text, for want of others of their kind: shares of training and of calibration.
_SHARED = {
    "awesome_prompts": (0.5, 0.2), "promptscreen_written": (0.5, 0.2), "in_the_wild": (0.92, 0.08),
}  # fmt: skip
# At most so many of a source: the largest ones repeat themselves.
_MOST = {
    "hackaprompt": 900, "promptscreen_templates": 500, "promptscreen_suffixes": 120,
    "clinc150": 1200, "banking77": 350, "dolly15k": 500, "ultrachat200k": 1700,
    "neuralchemy_safe": 450, "oasst_replies": 330, "purplellama": 300,
    "purplellama_languages": 150, "awesome_prompts": 900,
}  # fmt: skip
_TWINS: dict[Part, int] = {"train": 2600, "calibration": 150, "test": 260}
_DISGUISED_SHARE = 0.2


def part_of(example: Example) -> Part:
    """Return which part an example's source belongs to."""
    if (shares := _SHARED.get(example.source)) is not None:
        place = share(example.text, "halves")
        return "train" if place < shares[0] else "calibration" if place < sum(shares) else "test"
    if example.source in _TEST:
        return "test"
    return "calibration" if example.source in _CALIBRATION else "train"


def corpus(folder: Path | None = None) -> dict[Part, list[Example]]:
    """Return the examples by part: no text, and no source but three, is in two of them.

    Args:
        folder: the training material; `data_folder()` if None.
    """
    guard = (folder or data_folder()) / "guard"
    parts: dict[Part, list[Example]] = {"train": [], "calibration": [], "test": []}
    for example in _capped(deduplicate(_read(guard))):
        parts[part_of(example)].append(example)
    parts["train"] += list(indirect.injected_documents(guard, "train", 2600, SEED))
    parts["train"] += list(generated_attacks(2000, SEED))
    parts["train"] += [*foreign_requests(), *short_messages()]
    parts["train"] += list(letters("train", 500, SEED))
    parts["calibration"] += list(letters("calibration", 120, SEED))
    parts["calibration"] += list(indirect.injected_documents(guard, "train", 120, SEED + 1))
    parts["test"] += list(indirect.injected_documents(guard, "test", 150, SEED))
    for part, amount in _TWINS.items():
        parts[part] += harmless_twins(part, amount, SEED)
    parts = _apart({part: deduplicate(examples) for part, examples in parts.items()})
    parts["train"] += _disguised(parts["train"], _DISGUISED_SHARE)
    parts["calibration"] += _disguised(parts["calibration"], _DISGUISED_SHARE)
    return parts


def _read(guard: Path) -> Iterator[Example]:
    """Yield all that the files hold, attacks first: their labels decide near-copies."""
    yield from attacks.in_the_wild(guard)
    yield from attacks.personas(guard)
    yield from attacks.firewall(guard)
    yield from attacks.hackaprompt(guard)
    yield from attacks.promptscreen(guard)
    yield from attacks.garak_leaks(guard)
    yield from attacks.giskard_hijacks(guard)
    yield from attacks.payloads(guard)
    yield from wrapped.spikee(guard, 300, SEED)
    yield from attacks.hinglish(guard)
    yield from attacks.neuralchemy(guard)
    yield from wrapped.spikee_system_prompts(guard)
    yield from harmless.instructions_apart(guard)
    yield from harmless.role_plays(guard)
    yield from harmless.security_work(guard)
    yield from harmless.wishes(guard)
    yield from harmless.languages(guard)
    yield from harmless.instructions(guard)
    yield from harmless.short_queries(guard)
    yield from harmless.sums(guard)
    yield from harmless.exams(guard)
    yield from indirect.questions_about_documents(guard, "train")
    yield from indirect.questions_about_documents(guard, "test")


def _capped(examples: Iterable[Example]) -> list[Example]:
    """Return the examples without more of a source than is useful."""
    by_source: dict[str, list[Example]] = {}
    for example in examples:
        by_source.setdefault(example.source, []).append(example)
    kept = []
    for source, rows in by_source.items():
        rows.sort(key=lambda row: share(row.text, "cap"))
        kept += rows[: _MOST.get(source, len(rows))]
    return kept


def _apart(parts: dict[Part, list[Example]]) -> dict[Part, list[Example]]:
    """Return the parts without texts of a later part in an earlier one."""
    held = {key(example.text) for example in parts["test"]}
    parts["calibration"] = [row for row in parts["calibration"] if key(row.text) not in held]
    held |= {key(example.text) for example in parts["calibration"]}
    parts["train"] = [row for row in parts["train"] if key(row.text) not in held]
    return parts


def _disguised(examples: list[Example], amount: float) -> Iterator[Example]:
    """Yield a share of the short texts again, in disguises that come equally to all labels."""
    names = sorted(EVASIONS)
    for example in examples:
        place = share(example.text, "disguise")
        if place > amount or len(example.text) > 400 or example.evasion:
            continue
        evasion = names[int(place / amount * len(names)) % len(names)]
        chance = random.Random(example.text)
        yield Example(
            disguise(example.text, evasion, chance),
            example.source,
            example.jailbreak,
            example.injection,
            example.trigger,
            evasion,
        )
