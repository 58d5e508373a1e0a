"""The import path of the official ioFog Python SDK."""
