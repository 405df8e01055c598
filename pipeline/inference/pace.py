"""The pace of a device: how many tokens make a pass of bearable length, by what passes took."""

from __future__ import annotations

# What a pass of before counts for, beside the one after it.
_DECAY = 0.8
# Of a processor with a small encoder, until a pass has shown what this device does.
_FIRST_TOKENS_PER_S = 20_000.0


class Pace:
    """Bounds passes by time: a text that comes meanwhile waits, and so does one whose time is up.

    A device that does 20,000 tokens a second would take 0.4 s for 8,192 of them, and whoever
    has waited for another such pass is too late; one that does millions takes 8,192 at once.

    Args:
        batch_tokens: of a pass at most, padding among them.
        pass_s: about how long one may take.
        cost_s: what a pass takes whatever is in it: launches, the way between threads.
    """

    def __init__(self, batch_tokens: int, *, pass_s: float, cost_s: float) -> None:
        self._max_tokens = batch_tokens
        self._pass_s = pass_s
        self._cost_s = cost_s
        self._tokens = 0.0
        self._seconds = 0.0

    @property
    def batch_tokens(self) -> int:
        """Tokens of the next pass, padding among them."""
        return self._in(self._pass_s)

    @property
    def pass_tokens(self) -> int:
        """Tokens that take as long as what a pass costs whatever is in it."""
        return self._in(self._cost_s)

    def note(self, tokens: int, seconds: float) -> None:
        """Learn from a pass.

        Args:
            tokens: padding among them.
            seconds: what it took.
        """
        # Long passes count for more, since short ones tell of little but their cost.
        self._tokens = self._tokens * _DECAY + tokens
        self._seconds = self._seconds * _DECAY + seconds

    def _in(self, seconds: float) -> int:
        if not self._tokens:
            return int(min(self._max_tokens, _FIRST_TOKENS_PER_S * seconds))
        # A clock may see no time pass.
        return int(min(self._max_tokens, self._tokens / max(self._seconds, 1e-9) * seconds))
