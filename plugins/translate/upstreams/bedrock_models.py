"""What Bedrock's names of models say: vendor, paths, and what each vendor's models take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote

from pipeline.api import find_model

# Cross-region inference profiles put a geography before the model's own name
# (https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html).
_GEOGRAPHIES = frozenset(
    {"us", "us-gov", "eu", "apac", "global", "jp", "au", "ca", "sa", "in", "me", "af", "mx", "il"}
)


@dataclass(frozen=True, slots=True)
class Vendor:
    """What the models of one vendor take in Converse; the default is for names that tell none.

    Args:
        name: the vendor; empty where a name does not tell.
        choices: tool choices beside `auto`.
        cache_points: where cache points may stand.
        result_status: whether tool results may say that they are errors.
        thoughts: whether thoughts go back, and whether only signed ones may.
        extras: canonical fields to their names in the model's own request.
    """

    name: str = ""
    choices: frozenset[str] = frozenset({"any", "tool"})
    cache_points: frozenset[str] = frozenset({"system", "messages", "tools"})
    result_status: bool = True
    thoughts: str = "signed"
    extras: tuple[tuple[str, str], ...] = (("top_k", "top_k"),)

    @property
    def is_claude(self) -> bool:
        """Whether the model is Claude, or may be: application inference profiles do not tell."""
        return self.name in ("anthropic", "")


_NONE: frozenset[str] = frozenset()
_PENALTIES = (
    ("frequency_penalty", "frequency_penalty"),
    ("presence_penalty", "presence_penalty"),
    ("seed", "seed"),
)
# https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
_VENDORS = {
    one.name: one
    for one in (
        Vendor("anthropic"),
        Vendor(
            "amazon",
            cache_points=frozenset({"system", "messages"}),
            thoughts="plain",
            extras=(("top_k", "inferenceConfig.topK"),),
        ),
        Vendor("mistral", frozenset({"any"}), _NONE, result_status=False, thoughts=""),
        Vendor("meta", _NONE, _NONE, result_status=False, thoughts="", extras=()),
        Vendor("ai21", _NONE, _NONE, result_status=False, thoughts="", extras=()),
        Vendor(
            "cohere",
            _NONE,
            _NONE,
            result_status=False,
            thoughts="",
            extras=(("top_k", "k"), *_PENALTIES),
        ),
        Vendor(
            "openai", cache_points=_NONE, result_status=False, thoughts="plain", extras=_PENALTIES
        ),
        Vendor("deepseek", frozenset({"any"}), _NONE, result_status=False, thoughts="", extras=()),
    )
}
_OTHER = Vendor(cache_points=_NONE, result_status=False, thoughts="", extras=())


def vendor_of(model: str) -> Vendor:
    """Return what is known of a model's vendor, by Bedrock's name of the model or the catalog."""
    name = _vendor_name(base_model(model))
    if not name and (entry := find_model(model)) is not None:
        name = entry.vendor
    if not name:
        return Vendor()
    return _VENDORS.get(name) or replace(_OTHER, name=name)


def base_model(model: str) -> str:
    """Return a model's own name, without the ARN or the geography before it."""
    name = model.rpartition("/")[2] if model.startswith("arn:") else model
    first, dot, rest = name.partition(".")
    return rest if dot and first in _GEOGRAPHIES else name


def model_path(model: str) -> str:
    """Return the path of a model, encoded as AWS's own SDKs do: colons and slashes too."""
    return f"/model/{quote(model, safe='')}"


def _vendor_name(base: str) -> str:
    vendor, dot, _ = base.partition(".")
    return vendor if dot else ""
