"""The poller of gRPC: chosen before gRPC is imported, unless the operator chose."""

import os
import subprocess
import sys

import pytest

SHOW = """
import os, sys
import pipeline.server
print("grpc" in sys.modules, os.environ["GRPC_EXPERIMENTS"])
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "-event_engine_listener"),
        ({"GRPC_EXPERIMENTS": "event_engine_fork"}, "event_engine_fork"),
    ],
    ids=["none", "the operator's"],
)
def test_the_choice_is_made_before_grpc_reads_it_and_an_operators_own_stays(given, expected):
    bare = {name: value for name, value in os.environ.items() if name != "GRPC_EXPERIMENTS"}
    shown = subprocess.run(
        [sys.executable, "-c", SHOW], env=bare | given, capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == ["False", expected]
