"""Settings: their models, sources, and errors that explain."""
