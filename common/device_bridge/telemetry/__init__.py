"""Health and metrics over HTTP, and log lines."""
