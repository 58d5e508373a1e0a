"""`python -m deployment VERB`: images built, manifests rendered, checked and deployed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .documents import Document, ManifestError, load, parse
from .fleets import Fleet, FleetError, deploy, find_tool, read_fleet, render
from .generated import outdated, write_generated
from .generations import GENERATIONS
from .images import ImageError, add_image_options, build, choose_builder, images_of, report
from .manifests import Finding, check_documents
from .workspace import notes, problems


def main(arguments: list[str] | None = None) -> int:
    """Does what the verb says, and prints what is wrong, a line each. Exit status 1 when something is."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.act(options)
    except (FleetError, ImageError, ManifestError) as error:
        _say(str(error))
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deployment", description="Images built, manifests rendered, checked, deployed."
    )
    verbs = parser.add_subparsers(required=True)
    for name, act, text in (
        ("build", _build, "build images"),
        ("push", _push, "build images and publish them"),
        ("image-report", _report, "sizes, layers, users and import times of built images"),
    ):
        verb = verbs.add_parser(name, help=text)
        verb.set_defaults(act=act)
        add_image_options(verb)
    check = verbs.add_parser("check", help="check manifests that are deployed together")
    check.set_defaults(act=_check)
    check.add_argument("files", type=Path, nargs="+")
    check.add_argument("--generation", choices=tuple(GENERATIONS), help="by default those the manifests may be for")
    for name, act, text in (
        ("render", _render, "make the manifests of a fleet"),
        ("deploy", _deploy, "make them and hand them to iofogctl or potctl"),
    ):
        verb = verbs.add_parser(name, help=text)
        verb.set_defaults(act=act)
        verb.add_argument("fleet", type=Path)
        verb.add_argument("--generation", choices=tuple(GENERATIONS), required=True)
        verb.add_argument("--out", type=Path, help="folder; by default build/deploy/GENERATION")
    verb.add_argument("--nodes", nargs="*", default=(), help="only these")
    verb.add_argument("--namespace", default="", help="of the command line tool")
    generate = verbs.add_parser("generate", help="write the tables of READMEs and the manifests in deploy/")
    generate.set_defaults(act=_generate)
    complete = verbs.add_parser("services", help="check that services are complete and that they are up to date")
    complete.set_defaults(act=_services)
    return parser


def _build(options: argparse.Namespace) -> int:
    build(images_of(options), choose_builder(options.builder))
    return 0


def _push(options: argparse.Namespace) -> int:
    build(images_of(options), choose_builder(options.builder), push=True)
    return 0


def _report(options: argparse.Namespace) -> int:
    sys.stdout.write(report(images_of(options), options.builder))
    return 0


def _generate(_: argparse.Namespace) -> int:
    write_generated(Path())
    return 0


def _services(_: argparse.Namespace) -> int:
    wrong = list(problems(Path())) or [f"{file}: not up to date. Run: make docs" for file in outdated(Path())]
    for line in wrong:
        _say(line)
    for line in () if wrong else notes(Path()):
        _say(f"note: {line}")
    return 1 if wrong else 0


def _check(options: argparse.Namespace) -> int:
    documents = [document for file in options.files for document in load(file)]
    name, findings = _fitting(documents, options.generation)
    for finding in findings:
        _say(str(finding))
    count, wrong = len(documents), _to_mend(findings)
    _say(f"{count} document{'s' * (count != 1)} for {name}, {wrong} to fix")
    return 1 if wrong else 0


def _fitting(documents: list[Document], generation: str | None) -> tuple[str, list[Finding]]:
    """What is wrong for this generation; without one, for that to which the documents come nearest."""
    if generation:
        return generation, check_documents(documents, GENERATIONS[generation])
    found = [(name, check_documents(documents, each)) for name, each in GENERATIONS.items()]
    return min(found, key=lambda one: _to_mend(one[1]))


def _to_mend(findings: list[Finding]) -> int:
    return sum(finding.must_be_fixed for finding in findings)


def _render(options: argparse.Namespace) -> int:
    return _write(read_fleet(options.fleet), options.generation, _out(options))


def _deploy(options: argparse.Namespace) -> int:
    fleet = read_fleet(options.fleet)
    tool = find_tool(fleet, options.generation)
    if _write(fleet, options.generation, _out(options)):
        return 1
    if GENERATIONS[options.generation].has_cdi_only:
        _say(f"each node needs its files of {_out(options)}/cdi in /etc/cdi")
    return 1 if deploy(tool, _out(options), nodes=options.nodes, namespace=options.namespace, say=_say) else 0


def _out(options: argparse.Namespace) -> Path:
    return options.out or Path("build/deploy", options.generation)


def _write(fleet: Fleet, generation: str, out: Path) -> int:
    """Writes manifests that are checked; files of nodes that are gone are removed."""
    rendered = dict(render(fleet, generation))
    documents = [document for name, text in rendered.items() for document in parse(text, name)]
    findings = [f for f in check_documents(documents, GENERATIONS[generation]) if f.must_be_fixed]
    for finding in findings:
        _say(str(finding))
    for old in sorted(out.rglob("*.yaml")):
        if str(old.relative_to(out)) not in rendered:
            old.unlink()
    for name, text in rendered.items():
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    if not GENERATIONS[generation].has_routes and any(kit.routes for kit in fleet.kits.values()):
        _say(f"routes are left out: {generation} carries messages by NATS, not by routes")
    _say(f"{len(rendered)} files in {out}, {len(findings)} to fix")
    return 1 if findings else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
