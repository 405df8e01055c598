"""The pages on translation: every backend on them can be used, and their tables are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from pipeline.api import InvalidCall
from pipeline.cli.main import app
from pipeline.cli.reference import pages
from plugins.translate.clients import CLIENTS
from plugins.translate.upstreams import SPECS
from plugins.translate.upstreams.presets import presets
from tests.support.pages import blocks
from tests.support.translate_features import FEATURES, PLAIN, WITH_TOOLS
from tests.support.translate_matrix import DIALECTS, attempted, connection

pytestmark = pytest.mark.docs

DOCS = Path(__file__).parents[2] / "docs"
CONNECT = DOCS / "how-to" / "connect-providers.md"
TRANSLATE = DOCS / "how-to" / "translate.md"
EXPLANATION = DOCS / "explanation" / "translation.md"
PROVIDERS = {spec.name: spec for spec in SPECS}
PLUGIN = "plugins: {translate: {uses: translate}}\n"
BACKENDS = [
    pytest.param(block.text, id=f"{page}-{number}")
    for page in ("connect-providers", "translate", "use-bedrock", "failover")
    for number, block in enumerate(blocks(DOCS / "how-to" / f"{page}.md"))
    if block.language == "yaml" and "backends:" in block.text
]
OPERATIONS = {
    "chat": "chat",
    "completion": "completions",
    "embedding": "embeddings",
    "rerank": "rerank",
    "count_tokens": "token counts",
}
MATRIX = (
    "openai",
    "azure_openai",
    "aws_bedrock",
    "aws_bedrock_invoke",
    "gemini",
    "vertex_gemini",
    "vertex_claude",
    "anthropic",
    "cohere",
    "mistral",
)
# With a model of each that can do much.
COLUMNS = {
    "anthropic": "claude-sonnet-4-5",
    "vertex_claude": "claude-sonnet-4-5@20250929",
    "aws_bedrock_invoke": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "aws_bedrock": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "gemini": "gemini-2.5-pro",
    "vertex_gemini": "gemini-2.5-pro",
    "cohere": "command-a-03-2025",
    "mistral": "mistral-large-latest",
}
CHAT = FEATURES["openai.chat"]
TOOLS = WITH_TOOLS["openai.chat"]


ASKED, SAID, NEXT = (
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "a"},
    {"role": "user", "content": "b"},
)
TURNS = {"messages": [ASKED, SAID, NEXT]}


def _thought(signature: str) -> dict:
    block = {"type": "thinking", "thinking": "t", "signature": signature}
    return {"messages": [ASKED, {**SAID, "thinking_blocks": [block]}, NEXT]}


# What the page calls it, what a chat client's call has then, and what it has without.
ROWS: dict[str, tuple[dict, dict]] = {
    "system and developer prompts": (CHAT["developer"], {}),
    "images as data": (CHAT["image_data"], {}),
    "images by URL": (CHAT["image_url"], {}),
    "PDFs as data": (CHAT["file_data"], {}),
    "files by id": (CHAT["file_id"], {}),
    "audio": (CHAT["audio"], {}),
    "audio as the answer": (CHAT["modalities"], {}),
    "tools, calls and results": (CHAT["tool_turn"], {}),
    "strict tools": (TOOLS["strict"], CHAT["tools"]),
    "a tool that must be called": (TOOLS["named"], CHAT["tools"]),
    "one tool call at a time": (TOOLS["one by one"], CHAT["tools"]),
    "JSON mode": (CHAT["json_object"], {}),
    "JSON schema": (CHAT["json_schema"], {}),
    "reasoning effort": (CHAT["reasoning_effort"], {}),
    "thinking budget": (CHAT["thinking"], {}),
    "Claude's signed thoughts": (_thought("c2lnbmVk"), TURNS),
    "Gemini's signed thoughts": (_thought("gemini:thought:c2lnbmVk"), TURNS),
    "`stop`": (CHAT["stop"], {}),
    "`temperature`": (CHAT["temperature"], {}),
    "`top_k`": (CHAT["top_k"], {}),
    "`n`": (CHAT["n"], {}),
    "`seed`": (CHAT["seed"], {}),
    "penalties": (CHAT["presence_penalty"], {}),
    "`logit_bias`": (CHAT["logit_bias"], {}),
    "`logprobs`": ({"logprobs": True}, {}),
    "`service_tier: priority`": (CHAT["priority"], {}),
    "`user`": (CHAT["user"], {}),
    "`metadata`": (CHAT["metadata"], {}),
    "cache markers": (CHAT["cache_control"], {}),
    "web search": ({"web_search_options": {}}, {}),
    "`prediction`": (CHAT["prediction"], {}),
    "`verbosity`": (CHAT["verbosity"], {}),
    "guided decoding": (CHAT["guided_regex"], {}),
}


# What a provider's own field may hold; an object where it is not here.
OWN = {
    "mcp_servers": [{}],
    "container": "c",
    "inference_geo": "us",
    "speed": "fast",
    "safetySettings": [{}],
    "cachedContent": "cachedContents/c",
    "safety_mode": "NONE",
    "priority": 1,
    "prompt_mode": "reasoning",
    "guardrails": [{}],
    "safe_prompt": True,
}


@pytest.mark.parametrize("text", BACKENDS)
def test_every_backend_on_a_page_passes_the_check(text, tmp_path):
    secrets = {name: tmp_path / name for name in re.findall(r"file:/run/secrets/([\w.-]+)", text)}
    for path in secrets.values():
        path.write_text('{"type": "service_account"}')
    whole = text.replace("file:/run/secrets", f"file:{tmp_path}")
    if "routes:" not in text:
        routes = [
            {"name": name, "match": {"path_prefix": f"/{name}/"}, "backends": [name]}
            for name in yaml.safe_load(text)["backends"]
        ]
        whole += yaml.safe_dump({"routes": routes})
    if "plugins:" not in text:
        whole = PLUGIN + whole
    config = tmp_path / "dragoman.yaml"
    config.write_text(whole)
    environment = dict.fromkeys(re.findall(r"\$\{(\w+)", text), "a-secret")

    checked = CliRunner().invoke(
        app, ["check", "--strict", "--config", str(config)], env=environment
    )

    assert checked.exit_code == 0, checked.output


def test_every_provider_has_its_section_or_its_row():
    text = CONNECT.read_text()
    with_snippet = set(re.findall(r"provider: (\w+)", text))

    assert PROVIDERS.keys() - with_snippet - presets().keys() == set()
    assert _rows(CONNECT, "| provider | base URL | serves |") == [
        f"| `{name}` | `{preset['url']}` | {_served(name)} |" for name, preset in presets().items()
    ]


def test_every_provider_and_option_is_in_the_reference():
    sections = re.split(r"^## `(\w+)`$", pages()["providers.md"], flags=re.MULTILINE)
    found = dict(zip(sections[1::2], sections[2::2], strict=True))

    for name, spec in PROVIDERS.items():
        missing = [key for key in spec.options.model_fields if f"| `{key}` |" not in found[name]]
        assert missing == [], name


def test_the_matrix_is_what_clients_and_providers_say():
    heading = "| client's API | " + " | ".join(f"`{name}`" for name in MATRIX) + " |"

    assert PROVIDERS.keys() == {*MATRIX, *presets()}
    assert _rows(EXPLANATION, heading) == [
        f"| `{dialect}` | " + " | ".join(_cell(dialect, name) for name in MATRIX) + " |"
        for dialect in CLIENTS
    ]


def test_the_page_says_where_every_clients_api_is():
    assert _rows(EXPLANATION, "| API | paths |") == [
        f"| `{name}` | {', '.join(f'`{path}`' for path in DIALECTS[name].paths)} |"
        for name in CLIENTS
    ]


def test_the_table_of_features_is_what_providers_are_sent():
    heading = "| a chat client's call has | " + " | ".join(f"`{name}`" for name in COLUMNS) + " |"

    assert _rows(EXPLANATION, heading) == [
        f"| {row} | " + " | ".join(_fate(name, *asked) for name in COLUMNS) + " |"
        for row, asked in ROWS.items()
    ]


def test_what_providers_take_of_their_own_is_on_the_page():
    rows = _rows(TRANSLATE, "| provider | fields |")
    named = [re.findall(r"`(\w+)`", cell) for row in rows for cell in row.split("|")[1:3]]
    pairs = [
        (provider, field)
        for providers, fields in zip(named[::2], named[1::2], strict=True)
        for provider in providers
        for field in fields
    ]

    assert len(pairs) > 20
    for provider, field in pairs:
        assert _fate(provider, {field: OWN.get(field, {"k": "v"})}, {}) == "carried", field


def _rows(page: Path, heading: str) -> list[str]:
    _, found, rest = page.read_text().partition(f"{heading}\n")
    assert found, f"{page.name} has no table {heading}"
    rows = rest.partition("\n\n")[0].splitlines()
    return rows[1:]


def _served(name: str) -> str:
    operations = connection(PROVIDERS[name])._upstream.operations
    return ", ".join(words for operation, words in OPERATIONS.items() if operation in operations)


def _cell(dialect: str, provider: str) -> str:
    """Say how a client's API is served, and whether as a stream too."""
    upstream = connection(PROVIDERS[provider])._upstream
    if dialect in upstream.native:
        way = "as it is" if upstream.native[dialect].wrap is None else "wrapped"
    elif CLIENTS[dialect].operation in upstream.operations:
        way = "translated"
    else:
        return "-"
    return f"{way}, S" if CLIENTS[dialect].operation in ("chat", "completion") else way


def _fate(provider: str, more: dict, without: dict) -> str:
    """Say what becomes of a feature: how the request differs from one without it."""
    made = connection(PROVIDERS[provider])
    plain = {**PLAIN["openai.chat"], "model": COLUMNS[provider], **without}
    try:
        attempt = attempted(made, "openai.chat", {**plain, **more})
    except InvalidCall as refused:
        assert refused.code == "unsupported_by_backend"
        return "refused"
    is_same = attempt.body == attempted(made, "openai.chat", plain).body
    if attempt.dropped:
        return "reported" if is_same else "in part"
    return "not needed" if is_same else "carried"
