"""`python -m scaffold new-service`: makes a service, registers it, checks it, shows it, and says what comes next."""

from __future__ import annotations

import argparse
import difflib
import os
import subprocess
import sys
from pathlib import Path

from deployment.workspace import service_names

from .answers import SHAPES, AnswerError, Answers
from .generate import generate
from .rules import level_of, lint, page, target_of

_NEXT = """
{name} works on its emulated device. What comes next:
  1. {heart}: put your device's bytes there, and in emulator.py what it does with them; then
     make demo SERVICE={name}
  2. services/{name}/README.md: say how it is wired, and run: make check
  3. plug it in: IOFOG_LINK=console: {variable} make run SERVICE={name}
"""
_FIRST = {
    "serial": "SETTING_SERIAL__PORT=/dev/ttyUSB0",
    "i2c": "SETTING_BUS__PATH=/dev/i2c-1",
    "gpio": "SETTING_INPUT__LINE=GPIO17",
}


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, 1 when the new service's checks fail, 2 for answers that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m scaffold", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    new = verbs.add_parser("new-service", help="make a service from a template")
    new.add_argument("--name", default="", help="of the service, as in tide_gauge")
    new.add_argument("--bus", default="", help=" or ".join(SHAPES))
    new.add_argument("--shape", default="", help="how it talks; by default the usual way of its bus")
    new.add_argument("--device", default="", help="what it is, as in: a tide gauge")
    new.add_argument("--unchecked", action="store_true", help="write the files and no more")
    linting = verbs.add_parser("lint-services", help="hold services against the quality scale")
    linting.add_argument("--service", default="", help="by default all")
    verbs.add_parser("quality", help="write QUALITY.md, the scale as a page")
    options = parser.parse_args(arguments)
    root = Path.cwd()
    if options.verb == "quality":
        (root / "common/scaffold/QUALITY.md").write_text(page())
        return 0
    if options.verb == "lint-services":
        return _lint(root, options.service)
    try:
        answers = _complete(Answers(options.name, options.bus, options.shape, options.device))
        files = generate(answers, root)
    except AnswerError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for file in files:
        sys.stdout.write(f"  {file.relative_to(root)}\n")
    if options.unchecked:
        return 0
    return _check(answers, files, root)


def _lint(root: Path, service: str) -> int:
    """Tells each service's level and all that is found; 1 unless all are gold."""
    names = service_names(root)
    if service and service not in names:
        close = difflib.get_close_matches(service, names, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Known are {', '.join(names)}"
        sys.stderr.write(f"SERVICE={service}: there is no such service. {hint}\n")
        return 2
    is_gold = True
    for name in [service] if service else names:
        findings = lint(target_of(root, name))
        is_gold = is_gold and not findings
        sys.stdout.write(f"{name}: {level_of(findings) or 'not bronze yet'}\n")
        for rule, text in findings:
            sys.stdout.write(f"  {rule.level} {rule.id}: {text}\n    common/scaffold/QUALITY.md#{rule.id}\n")
    return 0 if is_gold else 1


def _complete(answers: Answers) -> Answers:
    """Asks for what is missing, on a terminal. Raises AnswerError elsewhere."""
    given = {"name": answers.name, "bus": answers.bus, "shape": answers.shape, "device": answers.device}
    if not (answers.name and answers.bus) and sys.stdin.isatty():
        questions = {
            "name": "name of the service, as tide_gauge",
            "bus": f"bus ({', '.join(SHAPES)})",
            "device": "what the device is, as: a tide gauge",
        }
        for key, question in questions.items():
            given[key] = given[key] or input(f"{question}: ").strip()
    for key in ("name", "bus"):
        if not given[key]:
            raise AnswerError(
                f"{key.upper()}= is missing. For example: "
                'make new-service NAME=tide_gauge BUS=serial DEVICE="a tide gauge"'
            )
    return Answers(**given)


def _check(answers: Answers, files: list[Path], root: Path) -> int:
    """Registers the service, runs its checks and a demo; the exit status."""
    python = [str(file.relative_to(root)) for file in files if file.suffix == ".py"]
    folder = f"services/{answers.name}"
    tests = [
        f"tests/services/test_{answers.name}.py",
        "tests/conformance",
        "tests/fault_campaign",
        "-k",
        answers.name,
    ]
    run = sys.executable
    tool = str(Path(run).with_name("ruff"))
    steps = {
        "registering it": ["make", "--no-print-directory", "lock", "setup"],
        "formatting it": [tool, "check", "--quiet", "--fix", *python],
        "": [tool, "format", "--quiet", *python],
        "checking its types": [run, "-m", "mypy", folder],
        "running its tests": [run, "-m", "pytest", "-q", *tests],
        "holding it against the quality scale": [run, "-m", "scaffold", "lint-services", "--service", answers.name],
        "showing it for five seconds": [run, "-m", "demo", answers.name, "--seconds", "5"],
    }
    for text, command in steps.items():
        if text:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
        done = subprocess.run(command, cwd=root, check=False, env=os.environ | {"MAKEFLAGS": ""})
        if done.returncode:
            sys.stderr.write(f"that has failed; {folder} stays as it is. It was: {' '.join(command)}\n")
            return 1
    heart = next(file for file in python if Path(file).name in ("protocol.py", "chip.py"))
    sys.stdout.write(_NEXT.format(name=answers.name, heart=heart, variable=_FIRST[answers.bus]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
