"""Fuzz targets: each module's `check(data)` raises when the product does what it must not.

`TOKENS` are bytes that the parser knows. `WORDS`, where a module has them, say that its input is
JSON: it is then mutated as JSON, with these as keys and values.
"""
