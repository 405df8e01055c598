"""What operators see of the host: metrics, logs and spans, all made of one exchange's outcome."""
