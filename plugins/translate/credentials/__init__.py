"""Credentials: what providers ask for before they answer."""
