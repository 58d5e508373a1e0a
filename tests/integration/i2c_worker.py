"""One of several processes on a bus: writes a register and reads it back, over and over, and tells how often it found
another's value there.
"""

import asyncio
import sys

from climate_sensor import chip
from device_bridge.buses import I2cBus, I2cSettings


async def work(path, lock_directory, value, count):
    bus = I2cBus(I2cSettings(path=path, lock_directory=lock_directory))
    await bus.open()
    torn = 0
    print("ready", flush=True)
    sys.stdin.readline()  # all begin together
    for _ in range(count):
        async with bus.device(0x76).transaction() as device:
            await device.write_byte(chip.CONFIG, value)
            torn += await device.read_byte(chip.CONFIG) != value
            torn += await device.read_byte(chip.CONFIG) != value
    waits = bus.counters().get("i2c_lock_waits", 0)
    await bus.close()
    print(torn, waits)


asyncio.run(work(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
