"""Metrics of a plugin's own, in the field's library."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

METRICS = CollectorRegistry()
"""What plugins count; `/metrics` shows it beside what the host counts.

Make a metric where the module is, once for all instances, and let a label tell them apart:
`HITS = Counter("cache_hits", "Answers served again.", ["instance"], registry=METRICS)`, with
`HITS.labels(self.name).inc()`. With `server.workers` counters and histograms are added up, and a
gauge has the label `worker`. A name that the host has is an error when the config is loaded. No
label's value may come from a client.
"""
