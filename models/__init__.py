"""What Dragoman knows of models: a catalog of their abilities."""
