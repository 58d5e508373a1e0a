"""Readings and results become ioMessages."""
