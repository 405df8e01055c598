"""The pytest plugin: fixtures for tests of plugins.

Every run of pytest in an environment that has Dragoman imports it, so it imports nothing of ours
until a test asks for a fixture; `pipeline.testing` itself would bring the whole host along.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pipeline.testing.clock import Clock
    from pipeline.testing.hosts import Hosts


@pytest.fixture
def dragoman_clock() -> Clock:
    """Monotonic seconds that pass when the test says so."""
    from pipeline.testing.clock import Clock  # noqa: PLC0415 - see above

    return Clock()


@pytest.fixture
def dragoman_host() -> Iterator[Hosts]:
    """Make hosts in process, for instance `dragoman_host(MyPlugin, {"option": 1})`.

    Their plugins are started at once and shut down when the test is over. Such a host is used
    without `await`: `got = host.send(call_message("Hello."))`.
    """
    from pipeline.testing.hosts import Hosts  # noqa: PLC0415 - see above

    with Hosts() as hosts:
        yield hosts
