"""`dragoman explain --id REQUEST_ID`: a past exchange, as the host that served it remembers it."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from pipeline.cli.admin_client import fetch
from pipeline.cli.explain_request import step_text
from pipeline.cli.output import console, print_json
from pipeline.config.load import load_config
from pipeline.errors import DragomanError


class NotRemembered(DragomanError):
    """Raised when an exchange cannot be had from the host."""


def explain_past(config: Path, exchange_id: str, admin: str | None, *, as_json: bool) -> None:
    """Print a past exchange.

    Args:
        config: the config file, for the admin server's address and its token.
        exchange_id: the request id.
        admin: URL of the host's admin server; the config's if None.
        as_json: print JSON.

    Raises:
        ConfigError: the config cannot be used.
        AdminError: the host does not answer.
        NotRemembered: there is no token, or the host has no such exchange.
    """
    loaded, _ = load_config(config, os.environ)
    token = loaded.server.admin_token
    if token is None:
        raise NotRemembered(
            "server.admin_token is not set: without a token a host tells nothing of exchanges"
        )
    address = admin or loaded.server.admin
    document = _fetched(address, exchange_id, token.get_secret_value())
    if as_json:
        print_json(document)
    else:
        _print(console(), document)


def _fetched(address: str, exchange_id: str, token: str) -> dict[str, Any]:
    where = f"/exchanges/{quote(exchange_id, safe='')}"
    status, body = asyncio.run(fetch(address, where, token))
    if status == 404:
        raise NotRemembered(
            f"the host does not remember {exchange_id!r}: it may have been too long ago "
            "(telemetry.keep), or another host's"
        )
    if status != 200:
        raise NotRemembered(f"the host's admin server {address} answers with {status}")
    try:
        return dict(json.loads(body))
    except (ValueError, TypeError) as error:
        raise NotRemembered(f"the host's admin server {address} answers with no JSON") from error


def _print(out: Console, document: dict[str, Any]) -> None:
    began = datetime.fromtimestamp(document["started_at"], UTC).isoformat(timespec="milliseconds")
    ending = f"{document['ending']} {document['status'] or ''}".strip()
    code = f" [red]{escape(document['code'])}[/]" if document["code"] else ""
    out.print(
        f"[bold]{escape(document['id'])}[/] → route [bold]{document['route']}[/] · {ending}{code}",
        soft_wrap=True,
    )
    facts = [
        began,
        document["dialect"],
        document["tenant"] and f"tenant {document['tenant']}",
        document["backend"] and f"backend {document['backend']}",
        f"{document['duration_ms']:.2f} ms, {document['overhead_ms']:.2f} ms of them in the host",
    ]
    out.print(Text(" · ".join(fact for fact in facts if fact), style="dim"), soft_wrap=True)
    if document["dropped"]:
        out.print(f"not sent to the backend: {', '.join(document['dropped'])}", soft_wrap=True)
    if document["unread_tokens"]:
        out.print(f"read by no model: {document['unread_tokens']} tokens of longer texts")
    steps = document["steps"]
    out.print("\n[bold]Decisions[/]" if steps else "\nNo plugin ran.")
    width = max((len(f"{s['instance']} {s['hook']}") for s in steps), default=0)
    for number, step in enumerate(steps, 1):
        out.print(step_text(number, step, width), soft_wrap=True)
        for line in _change(step["change"]):
            out.print(Text("      ").append_text(line), soft_wrap=True)


def _change(change: dict[str, Any]) -> list[Text]:
    lines = [
        Text(f"{sign} {_segment(one)}", style=style)
        for key, sign, style in (("removed", "-", "red"), ("added", "+", "green"))
        for one in change.get(key, [])
    ]
    headers = change.get("headers", {})
    lines += [Text(f"+ header {name}", style="green") for name in headers.get("set", [])]
    lines += [Text(f"- header {name}", style="red") for name in headers.get("removed", [])]
    if change.get("fields"):
        lines.append(Text(f"~ {', '.join(change['fields'])}", style="yellow"))
    for word, count in change.get("events", {}).items():
        lines.append(Text(f"{count} {'event' if count == 1 else 'events'} {word}"))
    if change.get("omitted"):
        lines.append(Text("changes too large to be remembered", style="dim"))
    return lines


def _segment(one: dict[str, Any]) -> str:
    kind = "" if one["kind"] == "text" else f", {one['kind'].replace('_', ' ')}"
    text = f": {one['text']}" if "text" in one else ""
    return f"[{one['role']}{kind}] {one['characters']} characters{text}"
