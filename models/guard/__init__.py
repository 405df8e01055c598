"""Training of the heads that both tiers share: jailbreak, injection and domain."""
