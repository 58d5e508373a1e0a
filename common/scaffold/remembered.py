"""What a service made from a template remembers of it: `.scaffold.json` in its folder.

It holds the files as they were written, packed: a merge needs them, and without them it would need an older release,
this project's history or a network.
"""

from __future__ import annotations

import base64
import json
import subprocess
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from iofog_sdk import __version__

from .answers import AnswerError, Answers

FILE = ".scaffold.json"
_LEVEL = 9


class Remembered(NamedTuple):
    """What a service was made of.

    Parameters:
        answers: that its author gave.
        files: as the template had them then: paths and texts.
    """

    answers: Answers
    files: dict[str, str]


def remembered(answers: Answers, files: dict[str, str]) -> str:
    """The text of `.scaffold.json` for a service of these files."""
    packed = {
        path: base64.b64encode(zlib.compress(text.encode(), _LEVEL)).decode() for path, text in sorted(files.items())
    }
    record = {"version": __version__, "commit": _commit(), "answers": asdict(answers), "files": packed}
    return json.dumps(record, indent=2) + "\n"


def recall(root: Path, name: str) -> Remembered:
    """What the service `name` was made of. Raises AnswerError."""
    file = root / "services" / name / FILE
    try:
        record = json.loads(file.read_text())
        files = {path: zlib.decompress(base64.b64decode(text)).decode() for path, text in record["files"].items()}
        return Remembered(Answers(**record["answers"]), files)
    except FileNotFoundError:
        raise AnswerError(
            f"NAME={name}: services/{name}/{FILE} is missing: only what `make new-service` made can be updated"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
        raise AnswerError(
            f"NAME={name}: {file.relative_to(root)} cannot be read ({error}). Take it from your repository's history"
        ) from None


def _commit() -> str:
    """Of the templates, "" for those of a release."""
    command = ["git", "-C", str(Path(__file__).parent), "log", "-1", "--format=%H", "--", "."]
    try:
        done = subprocess.run(command, capture_output=True, check=False, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
