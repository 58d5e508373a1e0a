"""What the services of one process share on their way to the node: the link, the clock, the outbox."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from iofog_sdk import Link

from ..clocks import Clocks
from ..errors import SettingsError
from ..messages.clock import Clock
from ..messages.time_correction import TimeCorrection
from ..outbox.delivery import Delivery
from ..outbox.durable import Outbox
from ..outbox.share import Share
from ..service_settings import OutboxSettings, ServiceSettings

log = logging.getLogger("device_bridge")


class Uplink:
    """From the outbox to the node.

    Parameters:
        name: of the outbox's folder.
        settings: of the process.
        link: to the node.

    Raises SettingsError when the settings of the outbox cannot be used.
    """

    def __init__(self, name: str, settings: ServiceSettings, link: Link) -> None:
        self.link, self.name = link, name
        self.folder = _state_folder(settings)
        clocks = Clocks()
        self.clock = Clock(trusted=settings.trust_clock, clocks=clocks)
        folder = self.folder / f"{name}.outbox" if self.folder else None
        self.outbox = Outbox(settings.outbox, folder, clocks=clocks)
        self.delivery = Delivery(self.outbox, link, TimeCorrection(self.clock).body)
        self._shares: dict[str, Share] = {}
        self.made = 0
        """Messages of services that have ended."""

    def share(self, name: str) -> Share:
        """The outbox as one of several streams sees it."""
        self._shares[name] = Share(self.outbox, name, self._shares)
        return self._shares[name]

    def end_share(self, name: str) -> None:
        """A stream puts nothing in any more; what waits is delivered all the same."""
        self._shares.pop(name, None)

    def file(self, name: str) -> Path | None:
        """Where something of this name is kept; None where nothing is."""
        return self.folder / name if self.folder else None


def _state_folder(settings: ServiceSettings) -> Path | None:
    outbox: OutboxSettings = settings.outbox
    directory = outbox.directory or os.environ.get("STATE_DIRECTORY", "")
    if not directory and outbox.durability == "always":
        remedy = "Name a folder that outlives the process, or set STATE_DIRECTORY."
        raise SettingsError("outbox.directory", None, "is needed for durability `always`", remedy)
    if not directory and outbox.durability == "spill":
        log.info("messages wait in memory only; name a folder in outbox.directory or STATE_DIRECTORY to keep them")
    return Path(directory) if directory else None
