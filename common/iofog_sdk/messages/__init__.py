"""ioMessages: their forms, tags and numbering. No I/O."""
