"""Data: one YAML file a vendor; see `pipeline.api.catalog` for what an entry says."""
