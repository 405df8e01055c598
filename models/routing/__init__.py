"""The `complexity` head: how likely a weak model's answer suffices; see README.md."""
