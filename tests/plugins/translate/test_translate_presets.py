"""The OpenAI-compatible providers that a data file describes."""

from __future__ import annotations

import pytest

from plugins.translate.canonical import CanonicalCall, Loss
from plugins.translate.upstreams.openai import OpenAIUpstream
from plugins.translate.upstreams.presets import preset_quirks, preset_specs, presets
from tests.support.providers.openai import check_chat

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
MESSAGES = [{"role": "developer", "content": "a"}, {"role": "user", "content": "hi"}]


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_preset_sends_what_openais_types_know_but_for_what_it_says(name):
    quirks = preset_quirks(name)
    fields = {"temperature": 1, "tools": [TOOL], "top_k": 4, "max_completion_tokens": 9}
    loss = Loss()
    call = CanonicalCall("chat", {"messages": MESSAGES, **fields}, "some-model", stream=True)
    body = OpenAIUpstream(quirks).request(call, loss).document
    check_chat(body, quirks.takes | frozenset(quirks.renames.values()))

    assert body[quirks.max_tokens] == 9
    assert body["messages"][0]["role"] == quirks.roles.get("developer", "developer")
    assert ("top_k" in loss.names) is ("top_k" not in quirks.takes)


def test_presets_are_the_providers_in_the_file_each_with_a_base_url():
    specs = preset_specs()

    assert tuple(spec.name for spec in specs) == tuple(presets())
    for spec in specs:
        assert spec.default_url(spec.options()).startswith(("https://", "http://localhost:"))
        assert spec.upstream(None).operations
