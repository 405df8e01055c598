"""What tests on a real Envoy share: which versions of it they run on."""

from __future__ import annotations

import pytest

from tests.support.crashes import CRASHES, SOUND_FROM
from tests.support.envoys import binary_of, wanted


@pytest.fixture(scope="session", params=wanted(), ids=lambda number: f"envoy-{number}")
def envoy_version(request):
    """Each version that is tested, as numbers: some do what others do not."""
    return tuple(map(int, request.param.split(".")[:3]))


@pytest.fixture(scope="session")
def envoy(envoy_version):
    """The binary of that version."""
    number = ".".join(map(str, envoy_version))
    binary = binary_of(number)
    assert binary.exists(), f"no Envoy {number}: run `python -m tests.support.envoys`"
    return binary


# What old versions do now and then with an answer that the host replaces by an error.
_BROKEN_OFF = "incomplete chunked read"
_CRASHED_BEFORE = pytest.StashKey[int]()


def pytest_runtest_setup(item):
    """Remember how many Envoys had crashed before a test."""
    item.stash[_CRASHED_BEFORE] = CRASHES.ended


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Let a test be skipped under which an Envoy crashed that is known to."""
    report = yield
    number = getattr(item, "callspec", None) and item.callspec.params.get("envoy_version")
    is_old = number and tuple(map(int, number.split(".")[:2])) < SOUND_FROM
    if report.failed and is_old and _BROKEN_OFF in str(report.longrepr):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, f"Skipped: Envoy {number} broke an answer off")
    if report.failed and is_old and CRASHES.since(item.stash.get(_CRASHED_BEFORE, 0)):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, f"Skipped: Envoy {number} itself crashed")
    return report
