"""The author's tools for bytes. No I/O."""
