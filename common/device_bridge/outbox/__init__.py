"""What waits between device and node."""
