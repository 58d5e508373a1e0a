"""The settings of this service."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from device_bridge import Port, ServiceSettings, Settings, SettingsError

TOKEN = "DASHBOARD_TOKEN"  # noqa: S105 - the variable's name
MIN_TOKEN = 16


class PageSettings(Settings, frozen=True, kw_only=True):
    """Where the page is served, and to how many."""

    host: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="TCP port of the page; 0 takes any free one")] = 8000
    title: Annotated[str, Meta(min_length=1, max_length=60, description="at the top of the page")] = "Live dashboard"
    names: Annotated[
        tuple[str, ...],
        Meta(
            max_length=20,
            description="names with a dot by which browsers may ask for it, as `plant.example.com`; "
            "addresses, names without a dot and `*.local` always work",
        ),
    ] = ()
    clients: Annotated[int, Meta(ge=1, le=200, description="most open pages at once")] = 32


class HistorySettings(Settings, frozen=True, kw_only=True):
    """What is kept for charts, on disk."""

    directory: Annotated[
        str, Meta(description="folder for the file; by default `$STATE_DIRECTORY`; without one, in memory")
    ] = ""
    max_bytes: Annotated[
        int, Meta(ge=1 << 20, le=1 << 36, description="most bytes of the file; the oldest goes first")
    ] = 64 << 20
    days: Annotated[int, Meta(ge=1, le=366, description="days that are kept at most")] = 31


class SwitchingSettings(Settings, frozen=True, kw_only=True):
    """Whether outputs can be switched from the page."""

    token_file: Annotated[
        str,
        Meta(
            description=f"file with the token that allows it, {MIN_TOKEN} characters or more; or variable {TOKEN}; "
            "without either nothing can be switched"
        ),
    ] = ""
    timeout: Annotated[float, Meta(ge=0.5, le=60, description="seconds to wait for the result of a command")] = 10.0

    def token(self, environment: Mapping[str, str] = os.environ) -> str:
        """The token, "" for none. Raises SettingsError for one that cannot be read, or is too short."""
        setting = "switching.token_file"
        if self.token_file:
            try:
                token = Path(self.token_file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "is no text"
                raise SettingsError(setting, self.token_file, reason, "Name a file with the token.") from None
        else:
            token = environment.get(TOKEN, "").strip()
            if not token:
                return ""
        if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable():
            remedy = "Take, for example, the output of: openssl rand -hex 16"
            rule = f"holds no token of at least {MIN_TOKEN} printable ASCII characters"
            raise SettingsError(setting if self.token_file else TOKEN, None, rule, remedy)
        return token


class DashboardSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of this service, beside those of every service."""

    page: PageSettings = PageSettings()
    history: HistorySettings = HistorySettings()
    switching: SwitchingSettings = SwitchingSettings()
    source_timeout: Annotated[
        float,
        Meta(
            ge=1,
            le=86_400,
            description="seconds without a message after which a source counts as silent; five times its usual "
            "interval where that is longer",
        ),
    ] = 15.0
    max_sources: Annotated[int, Meta(ge=1, le=5000, description="most sources; messages of others are counted")] = 500
    max_quantities: Annotated[int, Meta(ge=1, le=50_000, description="most quantities of all sources")] = 3000
    report_interval: Annotated[
        float,
        Meta(ge=1, le=86_400, description="seconds between its own readings: sources, silent ones, lost messages"),
    ] = 60.0
