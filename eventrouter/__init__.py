"""EventBridge for the inside of a Python service: content-based rules, fan-out, retries and dead letters."""
