"""Dragoman's host: everything between Envoy's ext_proc filter and a plugin."""

__version__ = "0.1.0"
