"""A model's folder: its manifest, and its files, each checked against its hash before it is used.

models/small/manifest.json   name, version, base, sizes, heads, and the sha256 of every file
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from pipeline.errors import ConfigError, Problem
from pipeline.inference.contract import Calibration, Head, HeadKind, Pooling

MANIFEST = "manifest.json"
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class InvalidModel(ConfigError):
    """Raised when a model cannot be loaded as configured.

    Args:
        message: what is wrong and what to do.
        key: below `inference`, of the setting to blame; empty where none is.
    """

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(Problem(f"inference.{key}".rstrip("."), message))


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CalibrationEntry(_Part):
    """A head's calibration; see `Calibration`."""

    scale: float = Field(1.0, gt=0)
    bias: float = 0.0
    per_doubling: float = 0.0


class HeadEntry(_Part):
    """A head; see `Head`."""

    name: str = Field(min_length=1)
    kind: HeadKind
    labels: tuple[str, ...] = ()
    pooling: Pooling = "mean"
    views: bool = False
    calibration: CalibrationEntry = CalibrationEntry()
    abstain_below: float = Field(0.0, ge=0, le=1)
    threshold: float = Field(0.5, ge=0, le=1)

    def head(self) -> Head:
        """Return it as inference knows it."""
        said = self.model_dump(exclude={"calibration"})
        return Head(**said, calibration=Calibration(**self.calibration.model_dump()))


class Manifest(_Part):
    """What a model's folder says of itself.

    Args:
        name: of the model.
        version: of its weights.
        base: what it was made from.
        dimensions: of its embeddings.
        max_tokens: in a window, special ones among them.
        overlap: tokens that neighbouring windows share.
        files: sha256 by file name.
        heads: what it computes.
    """

    name: str = Field(min_length=1)
    version: str = Field(min_length=1)
    base: str = ""
    dimensions: int = Field(ge=1)
    max_tokens: int = Field(ge=8)
    overlap: int = Field(0, ge=0)
    files: Mapping[FileName, Sha256]
    heads: tuple[HeadEntry, ...]


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model's files.

    Args:
        place: the folder.
        manifest: what it says.
        digest: sha256 of the manifest, and so of all files.
    """

    place: Traversable
    manifest: Manifest
    digest: str

    @classmethod
    def of_tier(cls, tier: Literal["tiny", "small"]) -> ModelFolder:
        """Return the folder of a model that comes with this package.

        Raises:
            InvalidModel: it is not there, or its manifest is none.
        """
        return cls.open(files("models").joinpath(tier))

    @classmethod
    def open(cls, place: Traversable) -> ModelFolder:
        """Read a folder's manifest.

        Raises:
            InvalidModel: there is none, or it says what none may say.
        """
        try:
            raw = place.joinpath(MANIFEST).read_bytes()
        except OSError as error:
            raise InvalidModel(
                f"the model in {place} has no readable {MANIFEST}: {error.strerror}; "
                f"install dragoman again"
            ) from error
        try:
            manifest = Manifest.model_validate_json(raw)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"]))
            raise InvalidModel(f"{place.joinpath(MANIFEST)}: {key}: {first['msg']}") from error
        if len({head.name for head in manifest.heads}) != len(manifest.heads):
            raise InvalidModel(f"{place.joinpath(MANIFEST)}: two heads have one name")
        return cls(place, manifest, hashlib.sha256(raw).hexdigest())

    @property
    def identity(self) -> str:
        """Name, version and hash."""
        return f"{self.manifest.name}-{self.manifest.version}@{self.digest[:16]}"

    @property
    def heads(self) -> dict[str, Head]:
        """Its heads by name."""
        return {entry.name: entry.head() for entry in self.manifest.heads}

    def read(self, name: str) -> bytes:
        """Return what a file holds, which is what the manifest says it holds.

        Args:
            name: as the manifest lists it.

        Raises:
            InvalidModel: it is not listed, not there, or not the same.
        """
        file = self.place.joinpath(name)
        if name not in self.manifest.files:
            raise InvalidModel(f"{self.place.joinpath(MANIFEST)} lists no file {name!r}")
        try:
            content = file.read_bytes()
        except OSError as error:
            raise InvalidModel(
                f"{file} cannot be read: {error.strerror}; install dragoman again"
            ) from error
        found = hashlib.sha256(content).hexdigest()
        if found != self.manifest.files[name]:
            raise InvalidModel(
                f"{file} has sha256 {found}, its manifest says {self.manifest.files[name]}: "
                f"the file was changed or damaged; install dragoman again"
            )
        return content

    def read_json(self, name: str) -> dict[str, object]:
        """Return the object that a listed JSON file holds.

        Raises:
            InvalidModel: as `read`, or it holds no object.
        """
        try:
            content = json.loads(self.read(name))
        except ValueError as error:
            raise InvalidModel(f"{self.place.joinpath(name)} is no JSON") from error
        if not isinstance(content, dict):
            raise InvalidModel(f"{self.place.joinpath(name)} holds no object")
        return content
