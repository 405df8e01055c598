"""Inference: models that compute the signals of a text, one pass for every plugin."""
