"""Two hosts behind one Envoy are restarted, one after the other, under load: no request fails."""

from __future__ import annotations

import pytest

from bench.rolling import REQUESTS, restart_under_load


@pytest.mark.e2e
async def test_no_request_fails_of_five_thousand():
    result = await restart_under_load()

    assert result.failed == []
    assert result.requests >= REQUESTS == 5_000
    assert result.restarts == [0, 0]
