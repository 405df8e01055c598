"""Inference on other nodes, over the Open Inference Protocol v2."""
