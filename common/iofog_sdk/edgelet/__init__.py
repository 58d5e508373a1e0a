"""EdgeletAPI v1, which newer nodes serve to containers."""
