"""Outputs, one with a safe state that is on."""

import asyncio

from device_bridge import CommandedSettings, CommandError, CommandSpec, DeviceService, Parameter, Quantity, Result

VALUE = (Parameter("value", "boolean"),)


class LampsSettings(CommandedSettings, frozen=True, kw_only=True):
    port: str = "x"


class Lamps(DeviceService[LampsSettings]):
    """Lamps."""

    quantities = (Quantity("lamp"), Quantity("sign"))
    commands = (CommandSpec("lamp", VALUE, safe=False), CommandSpec("sign", VALUE, safe=True), CommandSpec("test"))
    state: dict[str, bool] = {}
    done: list[tuple[str, object]] = []
    refuses = False

    async def open(self):
        self.state.update(lamp=False, sign=True)

    async def stream(self):
        await asyncio.Event().wait()
        yield []

    async def execute(self, command):
        if Lamps.refuses:
            raise CommandError("not now")
        self.done.append((command.name, command.value))
        if command.value is not None:
            self.state[command.name] = command.value
        return Result(
            ok=True, readings=[q.good(self.state[q.name]) for q in self.quantities if q.name == command.name]
        )
