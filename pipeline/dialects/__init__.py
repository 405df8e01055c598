"""Client API formats: how each holds text, streams it, and shapes its errors."""
