"""MLServer, another server of the protocol: a real one, in an environment of its own.

`python -m tests.support.mlserver` installs it under `build/peers` (330 MB), as tests never do.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import numpy as np

from pipeline.inference.remote import oip_pb2 as pb
from pipeline.inference.remote.node import SERVICE
from tests.support.stack import eventually

VERSION = "1.7.1"
ENVIRONMENT = Path(__file__).parents[2] / "build" / "peers" / "mlserver"
COMMAND = ENVIRONMENT / "bin" / "mlserver"
WHY_NOT = "no MLServer is installed: python -m tests.support.mlserver"

# A classifier with weights that nobody trained: letters, digits and the rest of a text.
WEIGHTS = [[2.0, -1.0, 0.5], [-1.5, 3.0, 0.25], [0.1, 0.2, -2.0]]
RUNTIME = f"""
import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.errors import MLServerError
from mlserver.types import InferenceResponse

WEIGHTS = np.array({WEIGHTS}, np.float32)


class Tone(MLModel):
    async def load(self):
        return True

    async def predict(self, payload):
        texts = StringCodec.decode_input(payload.inputs[0])
        if any("poison" in text for text in texts):
            raise MLServerError("cannot read " + " ".join(texts), 500)
        shares = np.array([
            [
                sum(letter.isalpha() for letter in text),
                sum(letter.isdigit() for letter in text),
                sum(not letter.isalnum() for letter in text),
            ]
            for text in texts
        ], np.float32) / np.array([[max(len(text), 1)] for text in texts], np.float32)
        logits = shares @ WEIGHTS
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[
            NumpyCodec.encode_output("logits", logits),
            NumpyCodec.encode_output("first", 1 / (1 + np.exp(-logits[:, :1]))),
            NumpyCodec.encode_output("vector", shares),
        ])
"""


def logits_of(text: str) -> np.ndarray:
    """Return what the classifier says of a text, computed here."""
    counts = [
        sum(letter.isalpha() for letter in text),
        sum(letter.isdigit() for letter in text),
        sum(not letter.isalnum() for letter in text),
    ]
    return np.array(counts, np.float32) / max(len(text), 1) @ np.array(WEIGHTS, np.float32)


def install() -> None:
    """Make the environment."""
    subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
    python = str(ENVIRONMENT / "bin" / "python")
    packages = ["--quiet", f"mlserver=={VERSION}"]
    subprocess.run([python, "-m", "pip", "install", *packages], check=True)


@asynccontextmanager
async def mlserver(folder: Path, port: int, free: list[int]) -> AsyncIterator[str]:
    """Serve the classifier for the time of the block; gives the address.

    Args:
        folder: for its files.
        port: for gRPC.
        free: two more ports.
    """
    http, metrics = free
    settings = {
        "host": "127.0.0.1",
        "grpc_port": port,
        "http_port": http,
        "metrics_port": metrics,
        "parallel_workers": 0,
    }
    model = {
        "name": "tone",
        "implementation": "tone.Tone",
        "parameters": {"version": "v3"},
        "inputs": [{"name": "content", "datatype": "BYTES", "shape": [-1, 1]}],
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    (folder / "tone.py").write_text(RUNTIME)
    with (folder / "mlserver.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            str(COMMAND), "start", str(folder), cwd=folder, stdout=log, stderr=log
        )
    address = f"127.0.0.1:{port}"
    try:
        await _ready(address)
        yield address
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def _ready(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        ready = channel.unary_unary(
            f"/{SERVICE}/ModelReady",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=pb.ModelReadyResponse.FromString,
        )
        request = pb.ModelReadyRequest(name="tone")

        async def is_ready() -> bool:
            try:
                return bool((await ready(request, wait_for_ready=True)).ready)
            except grpc.aio.AioRpcError:
                return False

        await eventually(is_ready, within_s=60)


if __name__ == "__main__":
    if not COMMAND.exists():
        install()
