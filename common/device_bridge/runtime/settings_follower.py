"""Follows the settings of one service: the first ones, every change, every refusal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from ..errors import SettingsError
from ..service import DeviceService
from ..service_settings import ServiceSettings
from ..settings.sources import SettingsSources
from ..settings.status import SettingsStatus

log = logging.getLogger("device_bridge")

_CONFIG_WAIT_S = 5.0
_GIVEN, _DEVICE = "given", "device"


class SettingsFollower:
    """Resolves and checks settings whenever one of their sources may have changed.

    Parameters:
        service_type: whose settings these are.
        sources: where they come from, besides the node.
        report: sends the node a warning about a refusal.
        within: where in the process's settings these are; "" where they are all of them.
    """

    def __init__(
        self,
        service_type: type[DeviceService[Any]],
        sources: SettingsSources,
        report: Callable[[str], None],
        within: str = "",
    ) -> None:
        self._service_type, self._sources, self.report = service_type, sources, report
        self._within = within
        self.status = SettingsStatus()
        self.on_settings: Callable[[ServiceSettings], None] | None = None
        """Called with good settings that differ from those given before."""
        self.on_adopted: Callable[[ServiceSettings], None] = lambda _: None
        """Called with settings that have come into force."""
        self._config: str | None = None
        self._config_came = asyncio.Event()
        self._proposed: ServiceSettings | None = None

    def take_config(self, config: str | None) -> None:
        """The node's configuration text may have changed; None when the node has none."""
        self._config = config
        self._config_came.set()
        self._propose()

    def reread_file(self) -> None:
        """The settings file may have changed."""
        try:
            self._sources.reread_file()
        except SettingsError as error:
            self.refuse(_GIVEN, error)
            return
        self._propose()

    async def first(self, node: str) -> ServiceSettings:
        """The first usable settings: the node's if it answers in time, else local ones if they are enough.

        Parameters:
            node: its description, for the log.

        Raises SettingsError when the node has answered and they cannot be used.
        """
        settings: ServiceSettings | None = None
        try:
            async with asyncio.timeout(_CONFIG_WAIT_S):
                await self._config_came.wait()
        except TimeoutError:
            log.warning("%s does not answer; starting on local settings", node)
            try:
                settings = self._resolve()
            except SettingsError as error:
                log.warning("waiting for the node, as local settings are not enough: %s", error)
                await self._config_came.wait()
        self._proposed = settings or self._resolve()
        return self._proposed

    def adopt(self, settings: ServiceSettings) -> None:
        """The device works with these settings, which are in force from now on."""
        if self.status.in_force not in (None, settings):
            log.info("new settings applied")
        self.status.adopt(settings)
        self.on_adopted(settings)
        if settings is self._proposed:
            self._accept(_DEVICE)

    def refuse_proposed(self, settings: ServiceSettings, error: SettingsError) -> None:
        """The device cannot be opened with these settings; those in force stay."""
        if settings is self._proposed:
            self.refuse(_DEVICE, error)

    def refuse(self, source: str, error: SettingsError) -> None:
        """Settings cannot be used; `source` is who found it out."""
        error = error.within(self._within)
        if self.status.refuse(source, str(error)):
            log.error("new settings refused, the old ones stay: %s", error)
            self.report(f"settings refused: {error}")

    def _accept(self, source: str) -> None:
        if self.status.clear(source):
            log.info("settings are good again")

    def _propose(self) -> None:
        if self._proposed is None:
            return  # `first` resolves what is there when it is its turn
        try:
            settings = self._resolve()
        except SettingsError as error:
            self.refuse(_GIVEN, error)
            return
        self._accept(_GIVEN)
        if settings != self._proposed:
            self._proposed = settings
            if self.on_settings is not None:
                self.on_settings(settings)

    def _resolve(self) -> ServiceSettings:
        settings: ServiceSettings = self._sources.resolve(self._config)
        self._service_type.check_settings(settings)
        return settings
