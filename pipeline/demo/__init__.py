"""The demo upstream: a small provider that answers without a key, for newcomers and for tests."""
