"""The host: loads plugins, compiles each route's chain, and enforces every instance's policies."""
