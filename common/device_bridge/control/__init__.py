"""The author's tools for states and outputs."""
