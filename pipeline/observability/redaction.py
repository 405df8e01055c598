"""Redaction: texts become `x`, byte for byte, so that every length and every cut stays."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

# What an API itself says, never a person. Words stay only under the keys of enumerations.
_WORDS = frozenset(
    b"system developer user assistant tool function text input_text output_text image_url "
    b"input_image tool_use tool_result tool_calls function_call stop length content_filter "
    b"end_turn max_tokens stop_sequence refusal message message_start message_delta message_stop "
    b"content_block_start content_block_delta content_block_stop text_delta input_json_delta "
    b"thinking thinking_delta signature_delta ping error auto none required any json_object "
    b"json_schema chat.completion chat.completion.chunk text_completion list embedding response "
    b"float base64 low medium high completed in_progress incomplete failed reasoning "
    b"invalid_request_error api_error server_error".split()
)
_ENUMERATIONS = frozenset(
    b"role type object finish_reason stop_reason status tool_choice encoding_format effort "
    b"reasoning_effort detail event".split()
)
_EVENT = re.compile(rb"response(?:\.[a-z_]{1,32}){1,4}\Z")
_NUMBERS = frozenset(
    b"temperature top_p top_k n max_tokens max_completion_tokens max_output_tokens "
    b"presence_penalty frequency_penalty dimensions top_logprobs budget_tokens created "
    b"created_at index output_index content_index sequence_number prompt_tokens "
    b"completion_tokens total_tokens input_tokens output_tokens".split()
)
_KEYS = (
    _ENUMERATIONS
    | _NUMBERS
    | frozenset(
        b"model messages content text stream stream_options include_usage stop seed tools "
        b"tool_calls function name arguments parameters description response_format json_schema "
        b"schema strict user metadata input instructions prompt suffix logprobs "
        b"parallel_tool_calls reasoning summary store system stop_sequences thinking source "
        b"media_type data url image_url cache_control id choices message delta stop_sequence "
        b"usage content_block output item item_id response error code param partial_json "
        b"embedding tool_use_id tool_call_id input_schema properties required refusal "
        b"previous_response_id template is_error annotations".split()
    )
)
_MASKED_KEY = b"?"
# What a masked key is counted in, `x` for nothing: all that a key of one byte may be, less the `n`
# that stays, so that no two of them become the same.
_DIGITS = b"x0123456789" + bytes(
    byte for byte in range(0x20, 0x80) if not chr(byte).isdigit() and byte not in b'"\\nx'
)
_TOKEN = re.compile(
    rb'(?P<space>[ \t\r\n]+)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<open>[{\[])|(?P<close>[}\]])'
    rb"|(?P<comma>,)|(?P<colon>:)|(?P<number>-?[0-9][0-9.eE+-]*)|(?P<literal>true|false|null)",
    re.DOTALL,
)
_KEPT_HEADERS = frozenset(
    [
        ":method",
        ":scheme",
        ":status",
        ":authority",
        "content-type",
        "content-length",
        "content-encoding",
        "transfer-encoding",
        "accept",
        "accept-encoding",
        "x-request-id",
        "x-dragoman-route",
        "x-dragoman-plugins",
    ]
)
_PLAIN = re.compile(rb"[A-Za-z0-9_.:/ ;=,+*\"-]{0,256}\Z")
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_SPACES = b" \t\r\n"
_FIELDS = frozenset({b"event", b"data", b"id", b"retry", b""})


def redact_header(name: str, value: bytes, known: Mapping[str, frozenset[bytes]]) -> bytes:
    """Return a header's value as it may be written down.

    Args:
        name: lower-case.
        value: its value.
        known: values that stand in the config, by header name: what routes match on.
    """
    if name == ":path":
        path, mark, query = value.partition(b"?")
        return path + mark + mask(query)
    if value in known.get(name, ()) or (name in _KEPT_HEADERS and _PLAIN.match(value)):
        return value
    return mask(value)


def redact_body(body: bytes, models: frozenset[bytes]) -> bytes:
    """Return a JSON or SSE body with its texts masked; what is neither is masked whole.

    Args:
        body: the whole body.
        models: model names that stand in the config and may stay.
    """
    if body.lstrip(_SPACES)[:1] in {b"{", b"["}:
        return _json(body, models)
    if body.startswith((b"data:", b"event:", b"id:", b":")):
        return b"".join(_sse_line(line, models) for line in _LINE.findall(body))
    return mask(body)


def mask(value: bytes) -> bytes:
    """Return as many `x` as there are bytes; white space stays."""
    return bytes(byte if byte in _SPACES else 0x78 for byte in value)


def _sse_line(line: bytes, models: frozenset[bytes]) -> bytes:
    field, colon, value = line.partition(b":")
    word = value.strip()
    if (field, word) == (b"data", b"[DONE]") or (field == b"event" and _is_word(word)):
        return line
    if field == b"data" and word[:1] in {b"{", b"["}:
        return field + colon + _json(value, models)
    return (field if field in _FIELDS else mask(field)) + colon + mask(value)


def _is_word(value: bytes) -> bool:
    return value in _WORDS or _EVENT.match(value) is not None


class _Names:
    """The masked keys of one object: as long as what they stand for, and equal where that is."""

    def __init__(self) -> None:
        self._names: dict[bytes, bytes] = {}
        self._taken: Counter[int] = Counter()

    def of(self, key: bytes) -> bytes:
        """Return the name that a key is written down with."""
        if key not in self._names:
            number = self._taken[len(key)]
            self._taken[len(key)] += 1
            digits = bytearray(b"x" * len(key))
            for place in range(len(key) - 1, -1, -1):
                if not number:
                    break
                number, digit = divmod(number, len(_DIGITS))
                digits[place] = _DIGITS[digit]
            self._names[key] = bytes(digits)
        return self._names[key]


class _Scanner:
    """Walks over JSON and knows of each string whether it is a key, and of what."""

    def __init__(self, models: frozenset[bytes]) -> None:
        self._models = models
        # Of each container that is open: the key that its values stand under, and the names of
        # its own keys, or None for a list.
        self._keys: list[bytes] = []
        self._names: list[_Names | None] = []
        self._awaits_key = False

    def take(self, match: re.Match[bytes]) -> bytes:
        """Return a token as it may be written down."""
        kind, raw = match.lastgroup, match[0]
        if kind == "string":
            return self._name(raw) if self._awaits_key else self._string(raw)
        if kind == "number":
            return raw if self._key in _NUMBERS else re.sub(rb"[0-9]", b"1", raw)
        if kind == "open":
            self._keys.append(self._key)
            self._names.append(_Names() if raw == b"{" else None)
        elif kind == "close" and self._keys:
            self._keys.pop()
            self._names.pop()
        if kind in {"open", "comma", "close"}:
            is_object = bool(self._names) and self._names[-1] is not None
            self._awaits_key = kind != "close" and is_object
        return raw

    @property
    def _key(self) -> bytes:
        return self._keys[-1] if self._keys else b""

    def _name(self, raw: bytes) -> bytes:
        self._awaits_key = False
        inner = raw[1:-1]
        if inner in _KEYS:
            self._keys[-1] = inner
            return raw
        self._keys[-1] = _MASKED_KEY
        names = self._names[-1]
        return b'"' + (names.of(inner) if names is not None else b"") + b'"'

    def _string(self, raw: bytes) -> bytes:
        inner, key = raw[1:-1], self._key
        stays = inner in self._models if key == b"model" else key in _ENUMERATIONS
        if stays and (key == b"model" or _is_word(inner)):
            return raw
        return b'"' + bytes(0x20 if byte == 0x20 else 0x78 for byte in inner) + b'"'


def _json(body: bytes, models: frozenset[bytes]) -> bytes:
    scanner = _Scanner(models)
    out: list[bytes] = []
    at = 0
    while at < len(body):
        match = _TOKEN.match(body, at)
        if match is None:
            # No JSON from here on: nothing of it may stay.
            out.append(mask(body[at:]))
            break
        out.append(scanner.take(match))
        at = match.end()
    return b"".join(out)
