"""The tiny tier's embedding: one vector a token, distilled from the trunk; see README.md."""
