"""Which settings are in force, and which were refused."""

from __future__ import annotations

from ..clocks import wall
from .base import Settings


class SettingsStatus:
    """What settings are in force and since when, and why others are not: one value that all parts share."""

    def __init__(self) -> None:
        self.in_force: Settings | None = None
        """None before the first."""
        self.since = wall()
        """When they came into force, seconds since 1970-01-01 UTC."""
        self.refusals = 0
        """How often settings were refused."""
        self._problems: dict[str, str] = {}

    @property
    def refused(self) -> str:
        """Why the settings given last are not in use; "" when they are."""
        return next(iter(self._problems.values()), "")

    def adopt(self, settings: Settings) -> None:
        """These settings are in use from now on."""
        if settings != self.in_force:
            self.in_force, self.since = settings, wall()

    def refuse(self, source: str, problem: str) -> bool:
        """Settings were refused; returns whether this is news.

        Parameters:
            source: who refused them; the problem stands until the same one clears it.
            problem: what is wrong with them.
        """
        self.refusals += 1
        is_news = self._problems.get(source) != problem
        self._problems[source] = problem
        return is_news

    def clear(self, source: str) -> bool:
        """A source has no problem any more; returns whether that was the last one."""
        return self._problems.pop(source, None) is not None and not self._problems
