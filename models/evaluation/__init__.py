"""How good the shipped heads are, on sources that their training never saw."""
