"""Translation: any client API to any provider, signed, and its answer back."""
