"""DEVICE in software, on a real tty."""

from __future__ import annotations

from simulated_devices import Surroundings, run_serial_emulator

from .protocol import encode


class Device(Surroundings):
    """Sends its level by itself."""

    interval_s = 0.5

    def __init__(self) -> None:
        super().__init__({"level": 1.5}, {"level": (0, 9.999)})

    def tick(self) -> list[bytes]:
        """A measurement."""
        return [encode(self.value("level"))]

    def receive(self, data: bytes) -> list[bytes]:
        """It does not listen."""
        return []


if __name__ == "__main__":
    run_serial_emulator("my_device", __doc__, Device())
