"""`python -m tests.containers.image_python [ARGS]`: the fast tests, under the interpreter that images ship.

They run in the image that images are built on, with these sources and the libraries of uv.lock, installed in build/.
"""

import os
import subprocess
import sys
from pathlib import Path

from .base import PROJECT, base_image, require

TARGET = "test-image-python"
TESTS = ("tests/unit", "tests/services", "tests/conformance")


def main() -> int:
    require(TARGET)
    image = base_image()
    uv = str(Path(sys.executable).with_name("uv"))
    cache = subprocess.run([uv, "cache", "dir"], check=True, capture_output=True, text=True).stdout.strip()
    told = {
        "UV_PROJECT_ENVIRONMENT": PROJECT / "build" / "venv-image-python",
        "UV_LINK_MODE": "copy",
        "UV_PYTHON_DOWNLOADS": "never",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    mounts = [PROJECT, cache, *filter(None, [os.environ.get("SSL_CERT_FILE")])]
    command = ["podman", "run", "--rm", "--network=host", f"--workdir={PROJECT}", "--env=UV_*", "--env=SSL_CERT_FILE"]
    command += [f"--env={name}={value}" for name, value in told.items()]
    command += [f"--volume={path}:{path}" for path in mounts]
    run = [uv, "run", "--quiet", "--locked", "--all-packages", "--all-extras", "--python=/usr/local/bin/python3"]
    print(f"{TARGET}: {', '.join(TESTS)} in {image}", flush=True)
    tests = ["python", "-m", "pytest", *TESTS, *sys.argv[1:]]
    status = subprocess.run([*command, image, *run, *tests], check=False).returncode
    print(f"{TARGET}: ok" if not status else f"{TARGET}: failed ({status})")
    return status


if __name__ == "__main__":
    sys.exit(main())
