"""What all sections of the config are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_NAME = r"^[a-z][a-z0-9_-]{0,62}$"

Name = Annotated[str, Field(pattern=_NAME)]
"""A name that the config gives."""

HeaderName = Annotated[str, Field(pattern=r"^[a-z0-9!#$%&'*+.^_`|~-]+$")]
"""The name of a header, in lower case."""


class Section(BaseModel):
    """A section of the config: it has no keys but its own, and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
