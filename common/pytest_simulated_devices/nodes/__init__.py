"""Nodes, brokers and links under test."""
