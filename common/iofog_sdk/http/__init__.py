"""HTTP and WebSocket clients of a node's API."""
