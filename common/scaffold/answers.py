"""What is asked before a service is made, and which answers are refused."""

from __future__ import annotations

import importlib.util
import keyword
import re
from dataclasses import dataclass
from pathlib import Path

from workspace.members import service_names

TEMPLATES = Path(__file__).parent / "templates"
SHAPES = {
    "serial": {
        "stream": "it sends by itself",
        "poll": "it answers questions",
        "command": "it answers questions and takes commands",
    },
    "i2c": {"poll": "it is asked at an interval", "command": "it is asked, and takes commands"},
    "gpio": {
        "stream": "a line that changes by itself",
        "poll": "a line that is looked at at an interval",
        "count": "a line whose pulses are counted",
        "command": "a relay: a line that is switched, safe when nobody switches it",
    },
}
"""Shapes of devices by bus, the usual one first, with what they are."""
_MOST_NAME, _MOST_DEVICE = 30, 50


class AnswerError(Exception):
    """An answer that cannot be used; its text says which, why, and what to write."""


@dataclass(frozen=True)
class Answers:
    """What a service is made of.

    Parameters:
        name: of the service: its folder, its package, its image.
        bus: `serial`, `i2c` or `gpio`.
        shape: of SHAPES; "" for the usual one of the bus.
        device: what it is, as it stands in a sentence: `a tide gauge`.
    """

    name: str
    bus: str
    shape: str = ""
    device: str = ""

    @property
    def template(self) -> str:
        """Name of its template's folder."""
        return f"{self.bus}_{self.shape or next(iter(SHAPES[self.bus]))}"

    def check(self, root: Path) -> None:
        """Raises AnswerError for what no service can be made of in the project at `root`."""
        if refusal := _refusal_of_name(self.name, root):
            raise AnswerError(f"NAME={self.name}: {refusal}")
        if self.bus not in SHAPES:
            raise AnswerError(f"BUS={self.bus}: write {' or '.join(SHAPES)}")
        shapes = SHAPES[self.bus]
        if self.shape and self.shape not in shapes:
            known = ", ".join(f"{shape} ({text})" for shape, text in shapes.items())
            raise AnswerError(f"SHAPE={self.shape}: for {self.bus} write {known}")
        if not re.fullmatch(rf"[\w (),.:/+&'-]{{0,{_MOST_DEVICE}}}", self.device):
            said = f"at most {_MOST_DEVICE} letters, digits, spaces and (),.:/+&'-"
            raise AnswerError(f"DEVICE={self.device}: {said}, as in: a tide gauge")


def _refusal_of_name(name: str, root: Path) -> str:
    """Why a service cannot be called that, "" if it can."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        better = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")
        hint = f", for example {better}" if better else ""
        return f"write lower-case letters and digits in words joined by one _, a letter first{hint}"
    if len(name) > _MOST_NAME:
        return f"is {len(name)} characters long; write at most {_MOST_NAME}"
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return "is a word of Python; write another"
    if name in service_names(root) or (root / "services" / name).exists():
        return f"is taken: services/{name} exists; write another, or remove that folder"
    if name == "my_device":
        return "is what templates call theirs; write another"
    if importlib.util.find_spec(name) is not None:
        return "is taken: a Python package of that name is installed; write another"
    tests = root / "tests" / "services" / f"test_{name}.py"
    return f"is taken: tests/services/{tests.name} exists; write another" if tests.exists() else ""
