"""Measures once a second, whatever others do."""

from device_bridge import DeviceService, Interval, Quantity, ServiceSettings, SettingsError, every

LEVEL = Quantity("level", "m", (0, 100))


class SteadySettings(ServiceSettings, frozen=True, kw_only=True):
    port: str
    interval: Interval = 1.0
    level: float = 1.0


class Steady(DeviceService[SteadySettings]):
    """A gauge."""

    quantities = (LEVEL,)
    opened: list[str] = []
    closed: list[str] = []
    levels: dict[str, float | None] = {}
    """What a gauge measures, by its port; None: it does not answer."""

    @classmethod
    def check_settings(cls, settings):
        if settings.level > 99:
            raise SettingsError("level", settings.level, "is too high", "Write 99 or less.")

    async def open(self):
        self.opened.append(self.settings.port)

    async def close(self):
        self.closed.append(self.settings.port)

    @every("interval")
    async def sample(self):
        level = self.levels.get(self.settings.port, self.settings.level)
        return [self.measure(level)] if level is not None else []

    def measure(self, level):
        return LEVEL.good(level)
