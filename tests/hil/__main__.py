"""`python -m tests.hil`: the tests of this folder on a Linux kernel of their own, with simulated chips.

The kernel is User Mode Linux, an ordinary process; its root is this machine's, so the guest has the same Python.
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


def main() -> int:
    if os.uname().machine != "x86_64":
        print("hil: SKIPPED, User Mode Linux needs x86-64")
        return 0
    folder = PROJECT / "build" / "hil"
    built = subprocess.run(["bash", str(HERE / "build_kernel.sh"), str(folder)], check=False)
    if built.returncode == CANNOT:
        print("hil: SKIPPED, see above")
        return 0
    if built.returncode:
        return built.returncode
    pytest = ["-m", "pytest", "-o", "cache_dir=/dev/shm/pytest", str(HERE), *sys.argv[1:]]
    told = {
        "command": [sys.executable, *pytest],
        "folder": str(PROJECT),
        "i2c_stub": str(folder / "i2c-stub.ko"),
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
        print("hil: SKIPPED, this machine does not let User Mode Linux start")
        return 0
    print("hil: ok" if not status else f"hil: failed ({status})")
    return status


sys.exit(main())
