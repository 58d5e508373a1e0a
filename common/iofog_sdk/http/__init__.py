"""HTTP and WebSocket to a node."""
