"""The serving process: gRPC for Envoy, HTTP for operators, readiness and drain."""
