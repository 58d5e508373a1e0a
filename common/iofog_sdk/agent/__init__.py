"""Local API v2 of the Java ioFog agents."""
