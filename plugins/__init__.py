"""The plugins that ship with Dragoman; each uses only what a third-party plugin could use."""
