"""What can be wrong with a store before it is used."""

from __future__ import annotations


class InvalidAddress(ValueError):
    """A store's URL says nothing that there is; the text names what there is, and no credential."""


class UnusableStore(Exception):
    """A file cannot be a store; the text names its path and what to do."""
