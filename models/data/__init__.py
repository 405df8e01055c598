"""Reads the training material and builds examples of it; only training and evaluation use it."""
