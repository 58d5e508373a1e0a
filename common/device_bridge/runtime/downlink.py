"""From the node to one device: commands, and content of other microservices to forward."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator

from iofog_sdk import IoMessage, address_of

from ..command import Command, Result
from ..outbox.box_metrics import inbound_metrics
from ..outbox.inbound import Inbound, is_command
from ..service_settings import CommandedSettings, ServiceSettings
from ..telemetry.metrics import Metric
from .commands import CommandRunner
from .endings import within

log = logging.getLogger("device_bridge")

_DRAIN_S = 1.0
_SAVE_S = 1.0
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Downlink:
    """What comes for a device.

    Parameters:
        name: of the device, for the log.
        microservice_id: that of the process.
        commands: executes them, for a service that takes any.
        inbound: keeps what is to be forwarded, for a service that does that.
    """

    def __init__(
        self, name: str, microservice_id: str, commands: CommandRunner | None, inbound: Inbound | None
    ) -> None:
        self._name, self._own, self._commands, self._inbound = name, microservice_id, commands, inbound

    @property
    def forwards(self) -> bool:
        """Whether messages of other microservices go to the device."""
        return self._inbound is not None

    def is_for_another(self, message: IoMessage) -> bool:
        """Routes of Local API v2 bring a message to all receivers of its sender: a UUID says for whom it is."""
        recipient, own = address_of(message.tag).recipient, self._own
        return bool(_UUID.fullmatch(recipient) and _UUID.fullmatch(own)) and recipient.lower() != own.lower()

    async def take(self, message: IoMessage, base_name: str) -> None:
        """A message; returns when it is as safe as the settings ask for."""
        if self._inbound is not None and not (self._commands and is_command(message)):
            await self._inbound.accept(message)
        elif self._commands:
            self._commands.take(message, base_name)
        else:
            log.warning("message %s ignored: %s takes no commands", message.id, self._name)

    async def execute(self, command: Command) -> Result:
        """Has the device execute a command of this process."""
        if self._commands is None:
            return Result(ok=False, detail=f"{self._name} takes no commands")
        return await self._commands.execute(command)

    def configure(self, settings: ServiceSettings) -> None:
        """These settings are in force."""
        if self._inbound is not None:
            self._inbound.configure(settings.outbox)
        if self._commands and isinstance(settings, CommandedSettings):
            self._commands.settings = settings

    async def open(self) -> None:
        """Takes up what an earlier run has left."""
        if self._inbound is not None:
            await self._inbound.open()
        if self._commands:
            await self._commands.open()

    async def run(self) -> None:
        """Executes commands until cancelled."""
        await (self._commands.run() if self._commands else asyncio.Event().wait())

    async def refuse(self, reason: str, *, is_usable: bool) -> None:
        """Refuses commands that have not been begun, and has forwarded what it can in a second.

        Parameters:
            reason: for who sent them.
            is_usable: whether the device can take anything.
        """
        if self._commands:
            self._commands.refuse_waiting(reason)
        if self._inbound is not None and is_usable:
            await within(_DRAIN_S, self._inbound.wait_empty())

    async def wait_idle(self) -> None:
        """Returns when no command is being executed, or after a second."""
        if self._commands:
            await within(_SAVE_S, self._commands.wait_idle())

    async def close(self) -> None:
        """Keeps what the next run has to know."""
        if self._commands:
            await self._commands.close()
        if self._inbound is not None:
            await self._inbound.close()

    def metrics(self) -> Iterator[Metric]:
        """For `/metrics`."""
        if self._commands:
            yield from self._commands.metrics()
        if self._inbound is not None:
            yield from inbound_metrics(self._inbound)
