"""Settings that were refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Refusals:
    """New settings that could not be used: how often, and why the last ones were not, "" once good ones came."""

    count: int = 0
    last: str = ""
