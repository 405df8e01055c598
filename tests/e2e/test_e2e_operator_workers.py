"""The operator's view of several workers: whichever served an exchange, one address tells of it."""

from __future__ import annotations

import base64
import json

import pytest

from tests.support.stack import eventually
from tests.support.workers import ASK, running_workers

pytestmark = pytest.mark.e2e

TOKEN = "token-of-the-operator"
TOP = {
    "plugins": {"odd": {"uses": "tests.support.ring_plugin:Odd"}},
    "routes": [{"name": "chat", "plugins": ["odd"], "backends": ["demo"]}],
    "server": {"admin_token": TOKEN},
    "telemetry": {"log_level": "debug", "record": {"share": "100%", "folder": "recordings"}},
}


async def test_an_exchange_of_any_worker_is_told_and_each_records_on_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with running_workers(tmp_path, TOP) as workers:
        admin = f"http://{workers.supervisor.admin_address}"
        headers = {"authorization": f"Bearer {TOKEN}"}
        for _ in range(8):
            await workers.http.post("/v1/chat/completions", json=ASK)
        unknown = await workers.http.get(f"{admin}/exchanges/none", headers=headers)
        refused = await workers.http.get(f"{admin}/exchanges/none")
        assert (unknown.status_code, refused.status_code) == (404, 401)

        files, ids = [], set()

        async def recorded():
            files[:] = (tmp_path / "recordings").iterdir()
            for file in files:
                for line in file.read_text().splitlines():
                    ids.update(ids_in(json.loads(line)))
            return len(ids) == 8

        await eventually(recorded, within_s=5)
        for one in ids:
            answer = await workers.http.get(f"{admin}/exchanges/{one}", headers=headers)
            assert answer.json()["steps"][0]["instance"] == "odd"
    assert len(files) == 2


def ids_in(tape):
    for entry in tape["entries"]:
        headers = entry["message"].get("request_headers", {}).get("headers", {})
        for header in headers.get("headers", []):
            if header["key"] == "x-request-id":
                yield base64.b64decode(header["raw_value"]).decode()
