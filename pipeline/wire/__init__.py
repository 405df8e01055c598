"""The wire: Envoy's external-processing messages, known to nobody else."""
