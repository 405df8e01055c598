"""The benchmark: what Dragoman costs beside the least that an ext_proc server can cost."""
