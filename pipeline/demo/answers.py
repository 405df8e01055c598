"""What the demo upstream answers: a question and what came with it in, a text out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Question:
    """What a request asks.

    Args:
        text: the last thing the user said.
        model: the model asked for.
        system: the system prompt; empty when there is none.
        messages: how many messages came.
        tool_result: what a tool returned since the user spoke; None when none did.
    """

    text: str
    model: str = ""
    system: str = ""
    messages: int = 1
    tool_result: str | None = None

    def __repr__(self) -> str:
        return f"Question({len(self.text)} characters, model={self.model!r})"


# Sizes are bounded so that no question makes a result that takes long to compute or to print.
_NUMBER = r"[0-9]{1,10}(?:\.[0-9]{1,6})?"
_SUM = rf"{_NUMBER}(?:\s*[-+*/x×÷]\s*{_NUMBER}){{1,20}}"  # noqa: RUF001
_MAX_COUNT = 1000


def answer(question: Question) -> str:
    """Return the answer: the first rule that knows one, else what was understood."""
    if question.tool_result is not None:
        return f"The tool said: {question.tool_result}"
    text = question.text.strip()
    for pattern, rule in _RULES:
        found = pattern.search(text)
        if found is not None:
            return rule(question, found)
    return f"You asked: {text}" if text else "You asked nothing. Try: what is 12*7?"


def count_words(text: str) -> int:
    """Return how many words a text has: the demo's idea of a token."""
    return len(text.split())


def _repeat(_: Question, found: re.Match[str]) -> str:
    return found["rest"]


def _count_words(_: Question, found: re.Match[str]) -> str:
    words = count_words(found["rest"].strip("\"'“”"))
    return f"I count {words} word{'' if words == 1 else 's'}."


def _count_up(_: Question, found: re.Match[str]) -> str:
    return " ".join(str(n) for n in range(1, min(int(found["last"]), _MAX_COUNT) + 1))


def _calculate(_: Question, found: re.Match[str]) -> str:
    written = found["sum"] or found["bare"]
    try:
        return f"{written} = {_number(_evaluate(written))}"
    except ZeroDivisionError:
        return f"{written} has no value: it divides by zero."


def _evaluate(written: str) -> Fraction:
    tokens = re.findall(rf"{_NUMBER}|\S", written)
    total, term = Fraction(0), Fraction(tokens[0])
    for operator, token in zip(tokens[1::2], tokens[2::2], strict=True):
        number = Fraction(token)
        if operator in "+-":
            total, term = total + term, number if operator == "+" else -number
        elif operator in "/÷":
            term /= number
        else:
            term *= number
    return total + term


def _number(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.6g}"


def _system(question: Question, _: re.Match[str]) -> str:
    if not question.system:
        return "I was given no system prompt."
    return f"My system prompt is: {question.system}"


def _messages(question: Question, _: re.Match[str]) -> str:
    return f"I saw {question.messages} message{'' if question.messages == 1 else 's'}."


def _model(question: Question, _: re.Match[str]) -> str:
    return f"You asked for the model {question.model or '(none)'}; I am the demo upstream."


def _greet(_: Question, __: re.Match[str]) -> str:
    return "Hello! I am the demo upstream. Ask me what 12*7 is, or to count to 20."


def _rule(
    pattern: str, rule: Callable[[Question, re.Match[str]], str]
) -> tuple[re.Pattern[str], Callable[[Question, re.Match[str]], str]]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL), rule


# The first that matches answers. What quotes the user's own text comes first: a text to repeat or
# to count must not be taken for a question.
_RULES = (
    _rule(r"\A(?:please )?(?:repeat|say|echo)(?: after me)?:\s*(?P<rest>.+)", _repeat),
    _rule(
        r"(?:count (?:the )?words|how many words)[^:\"“]{0,80}[:\"“]\s*(?P<rest>.+)", _count_words
    ),
    _rule(r"\bcount (?:up )?to (?P<last>[0-9]{1,9})\b", _count_up),
    _rule(
        rf"(?:what is|what's|how much is|calculate|compute)\s+(?P<sum>{_SUM})"
        rf"|\A(?P<bare>{_SUM})\s*[=?]*\Z",
        _calculate,
    ),
    _rule(r"\bsystem prompt\b", _system),
    _rule(r"\bhow many messages\b", _messages),
    _rule(r"\b(?:which|what) model\b", _model),
    _rule(r"\A(?:hi|hello|hey|good (?:morning|evening))\b", _greet),
)
