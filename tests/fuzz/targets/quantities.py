"""Quantities: a text is a duration, size, address or quota within bounds, or a ValueError."""

from __future__ import annotations

import math

from pipeline.config.quantities import parse_duration_s, parse_size_bytes, split_address
from pipeline.config.workers import usable_cpus, worker_addresses

TOKENS = (
    *b"ms s m h d KiB MiB GiB KB B 1.5 000 [::1]: 127.0.0.1: unix: :0 :65535 max 100000".split(),
    "٣".encode(),
    "²".encode(),
    b"\n",
)


def check(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for parse in (parse_duration_s, parse_size_bytes):
        try:
            amount = parse(text)
        except ValueError:
            continue
        assert math.isfinite(amount)
        assert amount >= 0
        assert text[-1] in "smhdB"
        assert text.isascii()
    try:
        host, port = split_address(text)
    except ValueError:
        pass
    else:
        assert host
        assert 0 <= port <= 65535
        assert split_address(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")[1] == port
        if not text.startswith("unix:"):  # for a server that is a path
            _spread(text)
    assert 1 <= usable_cpus(4, text) <= 4


def _spread(address: str) -> None:
    try:
        addresses = worker_addresses(address, 3)
    except ValueError:
        return
    assert len({split_address(one) for one in addresses}) == 3
