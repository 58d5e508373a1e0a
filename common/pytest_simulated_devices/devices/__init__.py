"""Fixtures of devices, each on its bus."""
