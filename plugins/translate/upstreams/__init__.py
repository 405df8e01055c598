"""Upstream APIs: canonical calls into providers' requests, their answers into canonical form."""

from __future__ import annotations

from plugins.translate.formats import ProviderSpec
from plugins.translate.upstreams import (
    anthropic,
    azure,
    bedrock_converse,
    bedrock_invoke,
    cohere,
    gemini,
    gemini_vertex,
    mistral,
    openai,
    vertex_claude,
)
from plugins.translate.upstreams.presets import preset_specs

SPECS: tuple[ProviderSpec, ...] = (
    openai.SPEC,
    anthropic.SPEC,
    vertex_claude.SPEC,
    bedrock_invoke.SPEC,
    azure.SPEC,
    mistral.SPEC,
    bedrock_converse.SPEC,
    gemini.SPEC,
    gemini_vertex.SPEC,
    cohere.SPEC,
    *preset_specs(),
)
"""Every provider that Dragoman brings along."""
