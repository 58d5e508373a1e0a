"""Local API v2 of the Java ioFog agents (ioFog 3.0 to 3.7)."""
