"""The fixture `serial_device`: a device in software on a serial line."""

from __future__ import annotations

from typing import TypeVar

from simulated_devices import PlayedDevice, SerialDevice

from .serial_line import SerialLineFixture

D = TypeVar("D", bound=SerialDevice)


class SerialDeviceFixture(SerialLineFixture):
    """A serial line, and the device that `plug_in` puts on it."""

    _played: PlayedDevice | None = None

    def plug_in(self, device: D) -> D:
        """Has a device play on the line until the end of the test, and returns it. One device has one line."""
        if self._played is not None:
            raise ValueError(f"{self.name} has a device already; ask for the fixture serial_devices for more lines")
        self._played = PlayedDevice(device, self.line)
        self.start(self._played.run())
        return device

    @property
    def played(self) -> PlayedDevice:
        """The device with its faults. Raises ValueError without one."""
        if self._played is None:
            raise ValueError(f"{self.name} has no device; call plug_in first")
        return self._played

    def corrupt(self, share: float = 1.0) -> None:
        """Damages one byte in this share of its frames."""
        self._transcript.note(self.name, f"corrupts {share:g} of its frames")
        self.played.faults.corrupt = share

    def drop(self, share: float = 1.0) -> None:
        """Loses this share of its frames."""
        self._transcript.note(self.name, f"drops {share:g} of its frames")
        self.played.faults.drop = share

    def stall(self, seconds: float | None = None) -> None:
        """It says nothing more, or pauses for so many seconds and then sends what has waited."""
        self._transcript.note(self.name, "stalls" if seconds is None else f"stalls for {seconds:g} s")
        self.execute("silent on" if seconds is None else f"pause {seconds}")

    def heal(self) -> None:
        """Ends all faults, a missing plug too."""
        self.played.faults.corrupt = self.played.faults.drop = 0.0
        self.execute("silent off")
        self.replug()

    def execute(self, text: str) -> None:
        """A line of an emulator's control input, see `PlayedDevice.execute`. Raises ValueError when it is refused."""
        if (result := self.played.execute(text)) != "ok":
            raise ValueError(f"{text}: {result}")
