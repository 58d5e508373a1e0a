"""One way to read lines from a tty, as a process: `line_readers.py KIND PATH COUNT` ends after so many lines.

Prints the processor seconds it took, from the first line on.
"""

import asyncio
import sys
import time


def by_readline(path, count):
    """pyserial, blocking: what most examples show."""
    import serial  # noqa: PLC0415

    with serial.Serial(path, 115_200) as port:
        ready()
        port.readline()
        start = time.process_time()
        for _ in range(count - 1):
            port.readline()
        return time.process_time() - start


async def by_streams(path, count):
    """serial_asyncio_fast: asyncio's StreamReader on a serial port."""
    import serial_asyncio_fast  # noqa: PLC0415

    reader, writer = await serial_asyncio_fast.open_serial_connection(url=path, baudrate=115_200)
    ready()
    await reader.readline()
    start = time.process_time()
    for _ in range(count - 1):
        await reader.readline()
    took = time.process_time() - start
    writer.close()
    return took


async def by_bus(path, count, coalesce_s):
    """The bus and the framing of this project."""
    from device_bridge.buses import SerialBus, SerialSettings  # noqa: PLC0415
    from device_bridge.protocols.framing import LineFraming, framer_for  # noqa: PLC0415

    bus = SerialBus(SerialSettings(port=path, baud=115_200, coalesce=coalesce_s))
    await bus.open()
    framer = framer_for(LineFraming())
    ready()
    seen = len(framer.feed(await bus.read()))
    start = time.process_time()
    while seen < count:
        seen += len(framer.feed(await bus.read()))
    took = time.process_time() - start
    await bus.close()
    return took


def ready():
    """Says that what is sent now is read."""
    print("ready", flush=True)


def main(kind, path, count):
    """Reads, then says what it took."""
    match kind:
        case "readline":
            took = by_readline(path, count)
        case "streams":
            took = asyncio.run(by_streams(path, count))
        case "bus":
            took = asyncio.run(by_bus(path, count, 0.0))
        case _:
            took = asyncio.run(by_bus(path, count, 0.02))
    print(took, flush=True)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
