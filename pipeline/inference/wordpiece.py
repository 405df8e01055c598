"""Token ids of texts, word by word, with the ids of words seen before at hand."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import numpy as np

from pipeline.inference.contract import Ids

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# What BERT's tokenisation always parts: these blanks, and ASCII punctuation, each sign alone.
# Whatever else stands together is handed over together, for accents and other blanks are its
# business.
_WORDS = re.compile(r"[^ \t\n\r!-/:-@\[-`{-~]+|[!-/:-@\[-`{-~]")
_MAX_WORD_CHARS = 48
_MAX_WORDS = 50_000


def open_tokenizer(content: bytes | str) -> Tokenizer:
    """Return a tokenizer that neither cuts off nor pads, and whose special tokens no text can say.

    Args:
        content: of a `tokenizer.json`.
    """
    # Threads of its own would take the processor from the forward pass; a text of tokens is
    # parted in microseconds.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from tokenizers import Tokenizer  # noqa: PLC0415

    text = content.decode("utf-8") if isinstance(content, bytes) else content
    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def encoder(tokenizer: Tokenizer) -> TokenizerIds | WordIds:
    """Return the faster way to the same ids: by word where the tokenizer is BERT's."""
    parts = json.loads(tokenizer.to_str())
    kinds = [
        (parts.get(part) or {}).get("type") for part in ("normalizer", "pre_tokenizer", "model")
    ]
    if kinds == ["BertNormalizer", "BertPreTokenizer", "WordPiece"]:
        return WordIds(tokenizer)
    return TokenizerIds(tokenizer)


class TokenizerIds:
    """Ids of any tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def __call__(self, text: str) -> Ids:
        """Return a text's ids, special tokens aside."""
        if not text.isascii():
            # Half a surrogate pair is no character; JSON can say one all the same.
            text = text.encode("utf-8", "replace").decode("utf-8")
        # Of a batch: only then are other threads let run meanwhile.
        found = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)
        return np.asarray(found[0].ids, np.int32)


class WordIds:
    """Ids of BERT's WordPiece, the same as `TokenizerIds` gives and ten times sooner."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._known = _Known(TokenizerIds(tokenizer))

    def __call__(self, text: str) -> Ids:
        """Return a text's ids, special tokens aside."""
        pieces = text.split(" ")
        return np.frombuffer(b"".join(map(self._known.__getitem__, pieces)), np.int32)


class _Known(dict[str, bytes]):
    """Ids by what stands between two blanks, as int32; a bounded number of short ones are kept."""

    def __init__(self, encode: TokenizerIds) -> None:
        super().__init__()
        self._encode = encode

    def __missing__(self, piece: str) -> bytes:
        words = _WORDS.findall(piece)
        if words == [piece]:
            ids = self._encode(piece).tobytes()
        else:
            ids = b"".join([self[word] for word in words])
        if len(piece) <= _MAX_WORD_CHARS:
            if len(self) >= _MAX_WORDS:
                # A language's common words are back within a few texts.
                self.clear()
            self[piece] = ids
        return ids
