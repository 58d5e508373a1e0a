"""Settings of a process that runs several services."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from ..control.rules import RuleSettings
from ..service_settings import ServiceSettings
from ..settings.base import Seconds

MOST = 200
"""Bridges in one process."""


class GatewayRule(RuleSettings, frozen=True, kw_only=True):
    """A reading of one bridge that switches an output of another."""

    reading: Annotated[str, Meta(max_length=200, pattern="^[^/]+/.+$", description="`BRIDGE/QUANTITY`")]
    output: Annotated[str, Meta(max_length=200, pattern="^[^/]+/.+$", description="`BRIDGE/COMMAND`")]
    max_age: Annotated[
        Seconds,
        Meta(description="seconds without the reading after which the output goes to its safe state; 0: never"),
    ] = 60.0


class GatewaySettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of a service that runs others, beside those of every service."""

    bridges: Annotated[
        dict[str, Any],
        Meta(
            description="services to run, by a name for each: `service`, its `settings`, `enabled`, `max_rate`",
            max_length=MOST,
        ),
    ] = {}
    rules: Annotated[
        tuple[GatewayRule, ...],
        Meta(description="which readings of a bridge switch which outputs of another, link or no link"),
    ] = ()
