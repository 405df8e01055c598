"""The plugin `semantic_cache`: answers that were paid for, served again where they answer."""
