"""PID 1 of the guest: mounts, simulated hardware, the command in $hil_command, its exit status, power off."""

import base64
import ctypes
import json
import os
import sys
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
FINIT_MODULE = 313
POWER_OFF = 0x4321FEDC
LINES = 32
PARAMETERS = {"i2c-stub": "chip_addr=0x48,0x4a,0x4b,0x76"}


def mount(kind, target):
    if LIBC.mount(kind.encode(), target.encode(), kind.encode(), 0, None):
        print(f"hil: {target} cannot be mounted: {os.strerror(ctypes.get_errno())}", flush=True)


def gpio_chip(label):
    """A chip of gpio-sim (Documentation/admin-guide/gpio/gpio-sim.rst), whose lines are called L0 and so on."""
    bank = Path("/sys/kernel/config/gpio-sim", label, "bank")
    for line in range(LINES):
        (bank / f"line{line}").mkdir(parents=True)
        (bank / f"line{line}" / "name").write_text(f"L{line}")
    (bank / "num_lines").write_text(str(LINES))
    (bank / "label").write_text(label)
    (bank.parent / "live").write_text("1")


def load(name, module):
    """i2c-stub is an SMBus adapter with chips that are nothing but memory (Documentation/i2c/i2c-stub.rst)."""
    fd = os.open(module, os.O_RDONLY)
    if LIBC.syscall(FINIT_MODULE, fd, PARAMETERS.get(name, "").encode(), 0):
        print(f"hil: {name}: {os.strerror(ctypes.get_errno())}", flush=True)
    os.close(fd)


def run(command, folder):
    child = os.fork()  # threads left behind in PID 1 make the power-off panic
    if child == 0:
        os.setsid()
        os.chdir(folder)
        os.execvp(command[0], command)
    while True:
        ended, status = os.wait()
        if ended == child:
            return os.waitstatus_to_exitcode(status)


def main():
    print("HIL-START", flush=True)
    for kind, target in (
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("configfs", "/sys/kernel/config"),
        ("devpts", "/dev/pts"),
        ("tmpfs", "/dev/shm"),
        ("tmpfs", "/run"),
    ):
        Path(target).mkdir(exist_ok=True)
        mount(kind, target)
    told = json.loads(base64.urlsafe_b64decode(os.environ.pop("hil") + "==="))
    os.environ.update(told["environment"])
    gpio_chip("hil-gpio")
    for name, module in told["modules"].items():
        load(name, module)
    print(f"HIL-EXIT {run(told['command'], told['folder'])}", flush=True)
    os.sync()
    LIBC.reboot(POWER_OFF)


if __name__ == "__main__":
    sys.exit(main())
