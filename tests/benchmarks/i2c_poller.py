"""The least that can be done for sensors on an emulated bus: read one after another, blocking, and print; no bridge.

`python i2c_poller.py SETTINGS SECONDS`, with the settings that register_sensor would get.
"""

from __future__ import annotations

import json
import sys
import time

from device_bridge.buses.i2c.adapter import open_adapter, run_blocking
from register_sensor.service import chip_of


def main() -> None:
    """Prints `ready`, polls, and prints the processor seconds it took."""
    settings, seconds = json.loads(sys.argv[1]), float(sys.argv[2])
    bus = open_adapter(settings["bus"]["path"], 1.0)

    def transfer(address: int, *messages: bytes | int) -> list[bytes]:
        return run_blocking(bus.transfer(address, messages))

    chips = [(sensor, chip_of(sensor["profile"])) for sensor in settings["sensors"]]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    start, due = time.process_time(), time.monotonic()
    end = due + seconds
    while due < end:
        readings = {}
        for sensor, chip in chips:
            mux, conversion = sensor["mux"], chip.reads[0]
            transfer(mux["address"], bytes([1 << mux["channel"]]))
            transfer(chip.address, bytes(conversion.start))
            time.sleep(conversion.wait_s)
            body = conversion.read.strip(transfer(chip.address, conversion.read.read)[0])
            transfer(mux["address"], b"\0")
            for field in conversion.fields:
                readings[f"{sensor['name']}/{field.name}"] = field.raw(body) * field.scale + field.offset
        sys.stderr.write(json.dumps(readings) + "\n")
        due += 1.0
        time.sleep(max(0.0, due - time.monotonic()))
    sys.stdout.write(f"{time.process_time() - start}\n")


main()
