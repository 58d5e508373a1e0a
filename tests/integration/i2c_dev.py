"""`python i2c_dev.py NODE FUNCTIONS COMMAND...`: runs a command for which the file NODE is an i2c-dev device.

Its ioctls are caught by the kernel (seccomp user notification, seccomp(2); x86-64 only, no privilege needed) and
answered here as Documentation/i2c/dev-interface.rst says, out of emulated chips: so smbus2 and everything above it is
what runs on a real node. FUNCTIONS are the adapter's bits of I2C_FUNCS, in hexadecimal.
"""

import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
import sys
import threading
from pathlib import Path

from climate_sensor.emulator import ClimateChip
from io_expander.emulator import CHIPS
from register_sensor.chip import chip_of
from register_sensor.emulator import ProfileChip
from simulated_devices import SimulatedI2cBus

IOCTL, SECCOMP = 16, 317
SLAVE, SLAVE_FORCE, FUNCS, RDWR, SMBUS, TIMEOUT, PEC = 0x703, 0x706, 0x705, 0x707, 0x720, 0x702, 0x708
RECEIVE, ANSWER = 0xC0502100, 0xC0182101
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, NOTIFY = 0x7FFF0000, 0x7FC00000
BYTE, BYTE_DATA, WORD_DATA, I2C_BLOCK = 1, 2, 3, 8


def catching():
    """A filter that hands ioctls of i2c-dev on and lets everything else pass."""
    requests = (SLAVE, SLAVE_FORCE, FUNCS, RDWR, SMBUS, TIMEOUT, PEC)
    steps = [(LOAD, 0, 0, 0), (EQUAL, 0, len(requests) + 1, IOCTL), (LOAD, 0, 0, 24)]
    steps += [(EQUAL, len(requests) - at, 0, request) for at, request in enumerate(requests)]
    steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, NOTIFY)]
    return b"".join(struct.pack("<HBBI", *step) for step in steps), len(steps)


def become(command, parent):
    """In the child: hands the listener over and runs the command."""
    libc = ctypes.CDLL(None, use_errno=True)
    program, count = catching()
    buffer = ctypes.create_string_buffer(program)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    listener = libc.syscall(SECCOMP, 1, 8, struct.pack("<H6xQ", count, ctypes.addressof(buffer)))
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    socket.send_fds(parent, [b"x"], [listener])
    os.close(listener)
    os.execvp(command[0], command)  # noqa: S606


class Node:
    """What the kernel would do with ioctls on the bus."""

    def __init__(self, bus, functions):
        self.bus, self.functions = bus, functions
        self.addresses = {}

    def ioctl(self, memory, request, fd, argument):
        def read(at, count):
            return os.pread(memory, count, at)

        def write(at, data):
            os.pwrite(memory, data, at)

        if request in (SLAVE, SLAVE_FORCE):
            self.addresses[fd] = argument
        elif request == FUNCS:
            write(argument, self.functions.to_bytes(8, "little"))
        elif request == RDWR:
            if not self.functions & 1:
                raise OSError(errno.EOPNOTSUPP, "only SMBus")
            at, count = struct.unpack("<QI", read(argument, 12))
            found = [struct.unpack("<HHH2xQ", read(at + 16 * n, 16)) for n in range(count)]
            messages = [size if flags & 1 else read(pointer, size) for _, flags, size, pointer in found]
            answers = iter(self.bus.transfer(found[0][0], messages))
            for _, flags, _, pointer in found:
                if flags & 1:
                    write(pointer, next(answers))
            return count
        elif request == SMBUS:
            reads, command, size, at = struct.unpack("<BBxxIQ", read(argument, 16))
            self.smbus(self.addresses[fd], bool(reads), command, size, at, read, write)
        return 0

    def smbus(self, address, reads, command, size, at, read, write):
        head = bytes([command])
        if size == BYTE:
            if reads:
                write(at, self.bus.transfer(address, [1])[0])
            else:
                self.bus.transfer(address, [head])
            return
        # A block begins with its size, in memory but not on the wires.
        count, skip = (read(at, 1)[0], 1) if size == I2C_BLOCK else ({BYTE_DATA: 1, WORD_DATA: 2}[size], 0)
        if reads:
            write(at + skip, self.bus.transfer(address, [head, count])[0])
        else:
            self.bus.transfer(address, [head + read(at + skip, count)])


def serve(listener, node):
    while True:
        notice = bytearray(80)
        try:
            fcntl.ioctl(listener, RECEIVE, notice)
        except OSError:
            return
        number, pid, *_, fd, request, argument = struct.unpack_from("<QIIiIQQQQ", notice)
        value = error = 0
        memory = os.open(f"/proc/{pid}/mem", os.O_RDWR)
        try:
            value = node.ioctl(memory, request, fd, argument)
        except OSError as failed:
            error = failed.errno
        finally:
            os.close(memory)
        fcntl.ioctl(listener, ANSWER, struct.pack("<QqiI", number, value, -error, 0))


def main():
    path, functions, *command = sys.argv[1:]
    Path(path).touch()
    bus = SimulatedI2cBus(Path("unserved"))
    bus.add("climate", 0x76, ClimateChip())
    for profile in ("sht31", "tmp102"):
        chip = chip_of(profile)
        bus.add(profile, chip.address, ProfileChip(chip))
    for address, chip in zip((0x20, 0x21), CHIPS.values(), strict=True):
        bus.add(f"expander {address}", address, chip())
    for setting in ("climate/temperature -12.5", "sht31/temperature 30", "tmp102/temperature 40"):
        assert bus.execute(f"set {setting}") == "ok"
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        become(command, theirs)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    _, (listener,), _, _ = socket.recv_fds(ours, 1, 1)
    threading.Thread(target=serve, args=(listener, Node(bus, int(functions, 16))), daemon=True).start()
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


main()
