"""`python -m tests.hil`: the tests of this folder on a Linux kernel of their own, with simulated chips.

The kernel is User Mode Linux, an ordinary process; its root is this machine's, so the guest has the same Python.
A machine that cannot run it is a failure with the reason, or with HIL_MAY_SKIP=1 a pass that says so.
"""

import base64
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
CANNOT = 77
LONGEST_S = 300


def cannot_run(reason: str) -> int:
    """The exit status on a machine that cannot run these tests."""
    if os.environ.get("HIL_MAY_SKIP") == "1":
        print(f"hil: SKIPPED, as HIL_MAY_SKIP=1 allows: {reason}")
        return 0
    print(f"hil: failed, nothing was tested: {reason}. HIL_MAY_SKIP=1 lets that pass")
    return 1


def main() -> int:
    if os.uname().machine != "x86_64":
        return cannot_run(f"User Mode Linux needs x86-64, this machine is {os.uname().machine}")
    folder = PROJECT / "build" / "hil"
    built = subprocess.run(["bash", str(HERE / "build_kernel.sh"), str(folder)], check=False)
    if built.returncode == CANNOT:
        return cannot_run("no kernel can be built here, see above")
    if built.returncode:
        return built.returncode
    pytest = ["-m", "pytest", "-o", "cache_dir=/dev/shm/pytest", str(HERE), *sys.argv[1:]]
    told = {
        "command": [sys.executable, *pytest],
        "folder": str(PROJECT),
        "modules": {"i2c-stub": str(folder / "i2c-stub.ko"), "w1_sim": str(folder / "w1_sim.ko")},
        "environment": {
            "PATH": "/usr/bin:/bin",
            "HOME": "/dev/shm",
            "TMPDIR": "/dev/shm",  # this machine's /tmp may hold the project
            "LANG": "C.UTF-8",
            "HIL": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    }
    words = base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")
    guest = subprocess.Popen(
        [
            *(str(folder / "linux"), "mem=256M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw"),
            *("con=null", "con0=fd:0,fd:1", "quiet", "panic=1", f"hil={words}"),
            *(f"init={os.path.realpath(sys.executable)}", "--", str(HERE / "guest.py")),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    timer = threading.Timer(LONGEST_S, guest.kill)
    timer.start()
    status, started = 1, False
    for raw in guest.stdout:
        line = raw.decode(errors="replace").rstrip()
        started = started or line == "HIL-START"
        if match := re.match(r"HIL-EXIT (-?\d+)", line):
            status = int(match[1]) & 0xFF
        elif line != "HIL-START":
            print(line, flush=True)
    timer.cancel()
    guest.wait()
    if not started:
        return cannot_run(
            "this machine does not let User Mode Linux start (it needs ptrace, and /dev/shm or /tmp to execute)"
        )
    print("hil: ok" if not status else f"hil: failed ({status})")
    return status


if __name__ == "__main__":
    sys.exit(main())
