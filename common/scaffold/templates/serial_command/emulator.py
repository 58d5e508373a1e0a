"""DEVICE in software, on a real tty."""

from __future__ import annotations

from device_bridge.protocols import LineFraming, framer_for
from simulated_devices import Surroundings, run_serial_emulator

from .protocol import DONE, QUESTION, ZERO_QUESTION, encode


class Device(Surroundings):
    """Answers, and says nothing by itself."""

    interval_s = 0.0

    def __init__(self) -> None:
        super().__init__({"level": 1.5}, {"level": (0, 9.999)})
        self._lines = framer_for(LineFraming())

    def tick(self) -> list[bytes]:
        """Nothing."""
        return []

    def receive(self, data: bytes) -> list[bytes]:
        """Its answers."""
        return [answer for line in self._lines.feed(data) if (answer := self._answer(line))]

    def _answer(self, line: bytes) -> bytes:
        if line == ZERO_QUESTION.strip():
            self.set("level", 0)
            return DONE + b"\r\n"
        return encode(self.value("level")) if line == QUESTION.strip() else b""


if __name__ == "__main__":
    run_serial_emulator("my_device", __doc__, Device())
