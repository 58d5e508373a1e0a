"""Fails as soon as it is read, by an error that nobody has thought of."""

from device_bridge import DeviceService, Quantity, ServiceSettings


class Crashing(DeviceService[ServiceSettings]):
    """A fault."""

    quantities = (Quantity("nothing"),)

    async def stream(self):
        raise RuntimeError("nobody has thought of this")
        yield
