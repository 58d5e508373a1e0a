"""EdgeletAPI v1, the API that ioFog nodes from 3.8 serve to their containers."""
