"""The one YAML: its schema, and loading it with every error at its line."""
