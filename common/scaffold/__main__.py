"""`python -m scaffold new-service`: makes a service, registers it, checks it, shows it, and says what comes next."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from workspace.members import service_names
from workspace.services import unknown_service

from .answers import SHAPES, AnswerError, Answers
from .checks import check_project, check_service, check_update
from .merging import update
from .project import new_project
from .rendering import generate
from .rules import level_of, lint, page, target_of, write_badge


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, 1 when the new service's checks fail, 2 for answers that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m scaffold", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    new = verbs.add_parser("new-service", help="make a service from a template")
    project = verbs.add_parser("new-project", help="make a repository of one's own, with one service")
    project.add_argument("--dir", type=Path, help="folder to be made")
    project.add_argument(
        "--index", default="", help="URL of an index with releases; by default wheels of this checkout"
    )
    for verb in (new, project):
        verb.add_argument("--name", default="", help="of the service, as in tide_gauge")
        verb.add_argument("--bus", default="", help=" or ".join(SHAPES))
        verb.add_argument("--shape", default="", help="how it talks; by default the usual way of its bus")
        verb.add_argument("--device", default="", help="what it is, as in: a tide gauge")
        verb.add_argument("--unchecked", action="store_true", help="write the files and no more")
    updating = verbs.add_parser("update-service", help="bring what is new in its template into a service")
    updating.add_argument("--name", default="", help="of the service")
    updating.add_argument("--unchecked", action="store_true", help="merge and no more")
    linting = verbs.add_parser("lint-services", help="hold services against the quality scale")
    linting.add_argument("--service", default="", help="by default all")
    linting.add_argument("--no-run", action="store_true", help="without the rules that run it on its emulator")
    verbs.add_parser(
        "quality", help="write QUALITY.md, the scale as a page, and into each README the level it reaches"
    )
    options = parser.parse_args(arguments)
    root = Path.cwd()
    if options.verb == "quality":
        if (scale := root / "common/scaffold/QUALITY.md").exists():  # a project outside has none
            scale.write_text(page())
        for name in service_names(root):
            write_badge(target_of(root, name))
        return 0
    if options.verb == "lint-services":
        return _lint(root, options.service, runs=not options.no_run)
    try:
        if options.verb == "update-service":
            return _update(root, options.name, unchecked=options.unchecked)
        answers = _complete(Answers(options.name, options.bus, options.shape, options.device))
        if options.verb == "new-service":
            files, check = generate(answers, root), check_service
        elif options.dir is None:
            raise AnswerError("DIR= is missing. For example: make new-project DIR=../my-devices")
        else:
            files, check = new_project(options.dir, answers, root, options.index), check_project
            root = options.dir
    except AnswerError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for file in files:
        sys.stdout.write(f"  {file.relative_to(root)}\n")
    return 0 if options.unchecked else check(answers, root)


def _update(root: Path, name: str, *, unchecked: bool) -> int:
    """Says what was changed; 1 when something is to be decided on."""
    changes = update(root, name)
    for change in changes:
        sys.stdout.write(f"  {change.path} {change.what}\n")
    if any(change.conflicts for change in changes):
        sys.stdout.write(
            f"Decide on what is marked, then: make docs && make lint-services SERVICE={name} && make check\n"
        )
        return 1
    if not changes:
        sys.stdout.write(f"{name} has what is in its template\n")
    return 0 if unchecked or not changes else check_update(name, root)


def _lint(root: Path, service: str, *, runs: bool) -> int:
    """Tells each service's level and all that is found; 1 unless all are gold."""
    names = service_names(root)
    if service and service not in names:
        sys.stderr.write(f"{unknown_service(service)}\n")
        return 2
    is_gold = True
    for name in [service] if service else names:
        findings = lint(target_of(root, name), runs=runs)
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


if __name__ == "__main__":
    sys.exit(main())
