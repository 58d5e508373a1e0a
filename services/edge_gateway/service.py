"""Runs several services in one process, each with its own device; readings of one switch outputs of another."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from device_bridge import DeviceService, Interval, Quantity, Sample, every, run
from device_bridge.control import leave_first_place
from device_bridge.gateway import GatewaySettings, check_rules

BRIDGES = Quantity("bridges", "count", description="services that run here, or should")
FAILING = Quantity("bridges_failing", "count", description="of these, those whose device cannot be read")


class EdgeGatewaySettings(GatewaySettings, frozen=True, kw_only=True):
    """Settings of this service, beside those of every service."""

    interval: Annotated[Interval, Meta(description="seconds between its own readings: bridges, failing ones")] = 60.0


class EdgeGateway(DeviceService[EdgeGatewaySettings]):
    """Several devices in one process."""

    quantities = (BRIDGES, FAILING)
    hosts_bridges = True

    @classmethod
    def check_settings(cls, settings: EdgeGatewaySettings) -> None:
        check_rules(settings)

    @every("interval")
    async def count(self) -> Sample:
        """How many there are, and how many do not work."""
        states = self.bridge_states()
        return [BRIDGES.good(len(states)), FAILING.good(sum(bool(state) for state in states.values()))]


def main() -> None:
    """Runs the service as this process, or as its child where this is the first one of a container."""
    leave_first_place()
    run(EdgeGateway)
