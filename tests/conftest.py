"""What all tests share."""

import importlib
import logging
import os

import pytest
import structlog
from hypothesis import HealthCheck, settings

from pipeline.host import loading

# A busy machine makes an example slow, not wrong.
settings.register_profile(
    "dragoman", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
# The same code must get the same verdict twice, so CI draws the same examples each time;
# `make fuzz` is where new ones are looked for.
settings.register_profile("ci", settings.get_profile("dragoman"), derandomize=True, database=None)
settings.register_profile(
    "search", settings.get_profile("dragoman"), max_examples=2_000, stateful_step_count=50
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# What is installed is read from the disk once: no test of an event loop should be the first to.
importlib.import_module("plugins.translate.plugin")
loading.installed_providers()


@pytest.fixture(autouse=True)
def logs_as_they_were():
    """Put back what a test changes in where logs go: that is one for the whole process."""
    root = logging.getLogger()
    config, handlers, level = structlog.get_config(), root.handlers[:], root.level
    yield
    structlog.configure(**config)
    ours = [handler for handler in root.handlers if handler not in handlers]
    for handler in ours:
        root.removeHandler(handler)
    for handler in handlers:
        if handler not in root.handlers:
            root.addHandler(handler)
    root.setLevel(level)
