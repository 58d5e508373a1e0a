"""`python -m tests.fuzz MINUTES [pytest arguments]`: properties and campaigns again and again, each time at random.

`make test` draws the same examples each time, so that it fails only for what has changed; this looks for more.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

FAILED = Path(".cache/pytest/v/cache/lastfailed")
"""pytest's own list, which it writes at its end, also when it is interrupted."""
ROUND = (
    "-x",
    "-m",
    "hypothesis or campaign",
    "--hypothesis-profile=fuzz",
    "-n",
    "auto",
    "--dist",
    "worksteal",
    "--timeout=3600",
)


def main(minutes: float, arguments: list[str]) -> int:
    """Ends with the first round that fails, having said how to repeat it, or when the time is over."""
    end, rounds = time.monotonic() + minutes * 60, 0
    while (left_s := end - time.monotonic()) > 0:
        rounds += 1
        seed = random.randrange(1, 2**31)
        print(f"fuzz: round {rounds}, SEED={seed}, {left_s / 60:.1f} minutes left", flush=True)
        command = ["pytest", *ROUND, f"--hypothesis-seed={seed}", *arguments]
        FAILED.unlink(missing_ok=True)
        environment = os.environ | {"SEED": str(seed)}
        with subprocess.Popen([sys.executable, "-m", *command], env=environment) as running:
            try:
                status = running.wait(left_s)
            except subprocess.TimeoutExpired:
                running.send_signal(signal.SIGINT)
                running.wait()
                status = int(FAILED.exists())
        if status:
            again = " ".join(f"'{word}'" if " " in word else word for word in command[1:])
            print(f'fuzz: to repeat it: SEED={seed} make test ARGS="{again}"')
            return status
    print(f"fuzz: {rounds} rounds, the last one to the end of the time; nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
