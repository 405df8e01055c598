"""Envoy's side: its configuration, derived from ours, and the process that runs it."""
