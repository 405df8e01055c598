"""Trains, calibrates and measures what checks a cached answer before it is served."""
