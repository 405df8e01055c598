"""Watching files: that what stands in them is another, and has come to rest."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

POLL_S = 1.0
# A file is at rest when it is the same this much later: editors and `kubelet` take less.
_REST_S = 0.25

Contents = Mapping[Path, str]
_Stamp = tuple[int, int, int, int]


class Watch:
    """Looks at files by their names, so that it sees a new file or link in the old one's place.

    Polling needs no more than `stat` on every platform and file system; a hash is taken only
    where that differs.

    Args:
        files: what to look at, asked each time.
        poll_s: between two looks.
    """

    def __init__(self, files: Callable[[], Iterable[Path]], poll_s: float = POLL_S) -> None:
        self._files = files
        self._poll_s = poll_s
        self._known: dict[Path, tuple[_Stamp, str]] = {}

    async def look(self) -> Contents:
        """Return what stands in each file, as a hash; empty where it cannot be read."""
        return await asyncio.to_thread(self._look, list(self._files()))

    async def changed(self, since: Contents) -> Contents:
        """Wait until the files differ from `since`, and rest; return what stands in them."""
        while True:
            await asyncio.sleep(self._poll_s)
            found = await self.look()
            # A file that was not looked at before has not changed.
            since = {path: since.get(path, there) for path, there in found.items()}
            while found != since:
                await asyncio.sleep(min(_REST_S, self._poll_s))
                before, found = found, await self.look()
                if found == before:
                    return found

    def _look(self, files: Iterable[Path]) -> Contents:
        found = {path: self._read(path) for path in files}
        self._known = {path: known for path, known in found.items() if known is not None}
        return {path: known[1] if known is not None else "" for path, known in found.items()}

    def _read(self, path: Path) -> tuple[_Stamp, str] | None:
        try:
            state = path.stat()
            stamp = (state.st_dev, state.st_ino, state.st_mtime_ns, state.st_size)
            known = self._known.get(path)
            if known is not None and known[0] == stamp:
                return known
            return stamp, hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError:
            return None
