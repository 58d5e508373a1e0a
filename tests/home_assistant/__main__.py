"""`python -m tests.home_assistant`: what mqtt_bridge tells Home Assistant, judged by its own package.

That is installed into an environment of its own, .cache/home-assistant: its dependencies are many, and not ours.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(".cache/home-assistant")
PYTHON = FOLDER / "bin/python"
_COMPONENT = """
import json, pathlib, homeassistant.components as all
def of(name, seen):
    found = json.loads((pathlib.Path(all.__path__[0]) / name / "manifest.json").read_text())
    wanted = list(found.get("requirements", []))
    for other in found.get("dependencies", []):
        if other not in seen:
            seen.add(other)
            wanted += of(other, seen)
    return wanted
print(json.dumps(of("mqtt", set())))
"""
"""What its MQTT integration needs beside the package's own dependencies."""


def main() -> int:
    if not (FOLDER / ".ready").exists():
        install()
    tests = [sys.executable, "-m", "pytest", str(Path(__file__).parent), *sys.argv[1:]]
    return subprocess.run(tests, check=False, env=os.environ | {"HOME_ASSISTANT_PYTHON": str(PYTHON)}).returncode


def install() -> None:
    uv = Path(sys.executable).with_name("uv")
    into = (uv, "pip", "install", "--quiet", "--python", PYTHON)
    subprocess.run((uv, "venv", "--quiet", "--clear", "--python", sys.executable, FOLDER), check=True)
    subprocess.run((*into, "homeassistant"), check=True)
    done = subprocess.run((PYTHON, "-c", _COMPONENT), check=True, capture_output=True, text=True)
    if more := json.loads(done.stdout):
        subprocess.run((*into, *more), check=True)
    (FOLDER / ".ready").touch()


if __name__ == "__main__":
    sys.exit(main())
