"""Files that others on the machine may not read."""

from __future__ import annotations

import os
from pathlib import Path


def keep_files_private(folder: Path | None = None) -> None:
    """Makes what this process creates from now on readable for its user alone: files 0600, folders 0700.

    Whatever a process writes may hold secrets or readings; one rule for all of it leaves no file out.

    Parameters:
        folder: an older one, closed for others as well; its files with it.
    """
    os.umask(0o077)
    if folder is not None and folder.is_dir():
        folder.chmod(0o700)
