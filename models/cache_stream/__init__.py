"""How many requests of a stream a semantic cache answers, and how many wrongly, by embedder."""
