"""The doctor: what is wrong with the Envoy that runs, and what to do about it."""
