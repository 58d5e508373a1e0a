"""`python -m tests.browser`: the live page in headless Chromium. Screenshots are left in build/browser."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def main() -> int:
    chromium = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None or shutil.which(chromium) is None:
        sys.exit("make browser-test: no Chromium found. Try: apt-get install chromium, or CHROMIUM=/path/to/it")
    tests = [sys.executable, "-m", "pytest", "-o", "timeout=180", str(Path(__file__).parent), *sys.argv[1:]]
    return subprocess.run(tests, check=False, env=os.environ | {"CHROMIUM": chromium}).returncode


if __name__ == "__main__":
    sys.exit(main())
