"""Runs services as processes."""
