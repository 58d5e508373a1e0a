"""DEVICE in software, on an emulated bus."""

from __future__ import annotations

from simulated_devices import RegisterChip, Surroundings, run_i2c_emulator

from . import chip


class Chip(RegisterChip):
    """Has the registers of the real one."""

    def __init__(self) -> None:
        self.surroundings = Surroundings({chip.MEASURED.name: 21.5}, {chip.MEASURED.name: (-50, 150)})
        super().__init__({chip.IDENTITY: chip.MY_IDENTITY})

    def set(self, quantity: str, value: float) -> None:
        """Fixes what it measures, in its unit."""
        self.surroundings.set(quantity, value)

    def read(self, count: int) -> bytes:
        """Gives registers as they are now."""
        self.memory[chip.MEASUREMENT : chip.MEASUREMENT + 2] = chip.encode(
            self.surroundings.value(chip.MEASURED.name)
        )
        return super().read(count)


if __name__ == "__main__":
    run_i2c_emulator("my_device", __doc__, {chip.ADDRESS: Chip()}, {"interval": 1.0})
