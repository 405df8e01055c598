"""The committed wire module is what the compiler makes of the committed proto."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

import pipeline.wire

WIRE = Path(pipeline.wire.__file__).parent


@pytest.fixture(scope="module")
def regenerated(tmp_path_factory) -> Path:
    from grpc_tools import protoc

    out = tmp_path_factory.mktemp("wire")
    status = protoc.main(
        [
            "protoc",
            f"-I{WIRE}",
            f"-I{files('grpc_tools') / '_proto'}",
            f"--python_out={out}",
            f"--pyi_out={out}",
            str(WIRE / "ext_proc.proto"),
        ]
    )
    assert status == 0
    return out


@pytest.mark.parametrize("name", ["ext_proc_pb2.py", "ext_proc_pb2.pyi"])
def test_regenerating_gives_no_diff(regenerated, name):
    assert (regenerated / name).read_text() == (WIRE / name).read_text()
