"""`python -m deployment VERB`: images built, manifests rendered, checked and deployed."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec

from device_bridge.settings import json_schema
from workspace.images import (
    LICENCES,
    BillError,
    ImageError,
    RegistryError,
    add_image_options,
    build,
    choose_builder,
    images_of,
    licences,
    renew_base,
    report,
)
from workspace.listing import listing
from workspace.members import notes, problems, service_names
from workspace.services import Needs, ServiceError, needs_of, unknown_service

from .documents import Document, ManifestError, load
from .fleets import (
    Fleet,
    FleetError,
    check_rendered_files,
    deploy,
    differences,
    find_tool,
    nodes_wanted,
    read_fleet,
    render,
    starter,
    write_files,
)
from .generated import outdated, write_generated
from .generations import GENERATIONS, Generation
from .manifests import Finding, check_documents

_NEWEST = "3.9"
_SCHEMAS: dict[str, tuple[type[msgspec.Struct], str]] = {
    "fleet": (Fleet, "a fleet file"),
    "deploy": (Needs, "deploy.toml of a service"),
}
Act: TypeAlias = "Callable[[argparse.Namespace], int | None]"


def main(arguments: list[str] | None = None) -> int:
    """Does what the verb says, and prints what is wrong, a line each. Exit status 1 when something is."""
    options = _parser().parse_args(arguments)
    try:
        return options.act(options) or 0
    except (BillError, FleetError, ImageError, ManifestError, RegistryError, ServiceError) as error:
        _print(str(error))
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deployment", description="Images built, manifests rendered, checked, deployed."
    )
    verbs = parser.add_subparsers(required=True)
    images: tuple[tuple[str, Act, str], ...] = (
        ("build", lambda o: build(images_of(o), choose_builder(o.builder)), "build images"),
        ("push", lambda o: build(images_of(o), choose_builder(o.builder), push=True), "build and publish images"),
        ("image-report", lambda o: _print(report(images_of(o), o.builder).rstrip()), "sizes of built images"),
    )
    for name, act, text in images:
        verb = verbs.add_parser(name, help=text)
        verb.set_defaults(act=act)
        add_image_options(verb)
    check = verbs.add_parser("check", help="check manifests that are deployed together")
    check.set_defaults(act=_check)
    check.add_argument("files", type=Path, nargs="+")
    check.add_argument("--generation", choices=tuple(GENERATIONS), help="default: the one that they fit best")
    new = verbs.add_parser("new-fleet", help="write a fleet file to start from")
    new.set_defaults(act=_new_fleet)
    new.add_argument("fleet", type=Path)
    new.add_argument("services", nargs="+")
    new.add_argument("--generation", choices=tuple(GENERATIONS), default=_NEWEST, help=f"default: {_NEWEST}")
    fleets: tuple[tuple[str, Act, str], ...] = (
        ("render", lambda o: _write(*_fleet_of(o)), "make the manifests of a fleet"),
        ("diff", _diff, "show what rendering a fleet again would change"),
        ("deploy", _deploy, "make the manifests and deploy them with iofogctl or potctl"),
    )
    for name, act, text in fleets:
        verb = verbs.add_parser(name, help=text)
        verb.set_defaults(act=act)
        verb.add_argument("fleet", type=Path)
        verb.add_argument("--generation", choices=tuple(GENERATIONS), help="default: the one in the fleet file")
        verb.add_argument("--out", type=Path, help="folder; default: build/deploy/GENERATION")
    verb.add_argument("--nodes", nargs="*", default=(), help="only these")
    verb.add_argument("--ring", default="", help="only the nodes of this ring")
    verb.add_argument("--namespace", default="", help="of the command line tool")
    generate = verbs.add_parser("generate", help="write the tables of READMEs and the manifests in deploy/")
    generate.set_defaults(act=_generate)
    renew = verbs.add_parser("renew-base", help="name the newest base image by its digest")
    renew.set_defaults(act=_renew_base)
    everything = verbs.add_parser("list", help="list services, profiles and commands")
    everything.set_defaults(act=_list)
    schema = verbs.add_parser("schema", help="print the JSON Schema of a kind of file")
    schema.set_defaults(act=lambda o: _print(msgspec.json.format(json.dumps(json_schema(*_SCHEMAS[o.file])))))
    schema.add_argument("file", choices=tuple(_SCHEMAS))
    unknown = verbs.add_parser("unknown", help="say which service was meant by a name that there is not")
    unknown.set_defaults(act=_unknown)
    unknown.add_argument("name")
    complete = verbs.add_parser("services", help="check that services are complete and their tables up to date")
    complete.set_defaults(act=_services)
    return parser


def _list(_: argparse.Namespace) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    _print("\n".join(line[:width] for line in listing(Path())))


def _unknown(options: argparse.Namespace) -> int:
    _print(unknown_service(options.name))
    return 1


def _generate(_: argparse.Namespace) -> None:
    write_generated(Path())
    LICENCES.write_text(licences(service_names(Path())))


def _renew_base(_: argparse.Namespace) -> None:
    before, after = renew_base()
    _print(f"the base image is {after}" + (", as before" if before == after else f"; before: {before}"))


def _wrong_needs() -> Iterator[str]:
    """What is wrong in deploy.toml files."""
    for service in service_names(Path()):
        if Path("services", service, "deploy.toml").exists():
            try:
                needs_of(service)
            except ServiceError as error:
                yield str(error)


def _services(_: argparse.Namespace) -> int:
    wrong = [*problems(Path()), *_wrong_needs()] or [
        f"{file}: not up to date. Run: make docs" for file in outdated(Path())
    ]
    for line in wrong:
        _print(line)
    for line in () if wrong else notes(Path()):
        _print(f"note: {line}")
    return 1 if wrong else 0


def _check(options: argparse.Namespace) -> int:
    documents = [document for file in options.files for document in load(file)]
    name, findings = _best_fit(documents, options.generation)
    for finding in findings:
        _print(str(finding))
    count, errors = len(documents), _errors(findings)
    _print(f"{count} document{'s' * (count != 1)} for {name}, {errors} to fix")
    return 1 if errors else 0


def _best_fit(documents: list[Document], generation: str | None) -> tuple[str, list[Finding]]:
    """What is wrong for this generation; by default, for the newest of those that the documents fit best."""
    if generation:
        return generation, check_documents(documents, GENERATIONS[generation])
    found = [(each, check_documents(documents, each)) for each in reversed(GENERATIONS.values())]
    known, findings = min(found, key=lambda each: (_foreign(documents, each[0]), _errors(each[1]), len(each[1])))
    return known.name, findings


def _foreign(documents: list[Document], generation: Generation) -> int:
    """How many kinds and versions the generation does not have."""
    contents = [document.content for document in documents if isinstance(document.content, dict)]
    kinds = sum(str(content.get("kind")) not in generation.kinds for content in contents)
    return kinds + sum(content.get("apiVersion") not in generation.api_versions for content in contents)


def _errors(findings: list[Finding]) -> int:
    return sum(finding.is_error for finding in findings)


def _new_fleet(options: argparse.Namespace) -> int:
    text = starter(str(options.fleet), options.services, options.generation)
    try:
        with options.fleet.open("x") as file:
            file.write(text)
    except OSError as error:
        raise FleetError(f"{options.fleet}: {error.strerror}. Choose another FLEET=") from None
    _print(f"{options.fleet} is written. Describe your nodes in it, then: make deploy-render FLEET={options.fleet}")
    return 0


def _diff(options: argparse.Namespace) -> int:
    fleet, generation, out = _fleet_of(options)
    lines = list(differences(dict(render(fleet, generation)), out))
    for line in lines:
        _print(line)
    files = sum(line.startswith("--- before/") for line in lines)
    _print(f"{files} file{'s' * (files != 1)} of {out} would change" if files else f"nothing would change in {out}")
    return 0


def _deploy(options: argparse.Namespace) -> int:
    fleet, generation, out = _fleet_of(options)
    tool = find_tool(fleet, generation)
    nodes = nodes_wanted(fleet, options.nodes, options.ring)
    if _write(fleet, generation, out):
        return 1
    if GENERATIONS[generation].has_cdi_only:
        _print(f"each node needs its files of {out}/cdi in /etc/cdi")
    return 1 if deploy(tool, out, nodes, namespace=options.namespace, report=_print) else 0


def _fleet_of(options: argparse.Namespace) -> tuple[Fleet, str, Path]:
    fleet = read_fleet(options.fleet)
    generation = options.generation or fleet.generation
    if not generation:
        raise FleetError(
            f"{options.fleet}: generation is missing: there are {', '.join(GENERATIONS)}. Write, for example, "
            f'generation: "{_NEWEST}" into the file, or GENERATION={_NEWEST} on the command line; '
            "`iofogctl version` shows the Controller's, `edgelet version` that of a node without one"
        )
    return fleet, generation, options.out or Path("build/deploy", generation)


def _write(fleet: Fleet, generation: str, out: Path) -> int:
    """Writes manifests if they pass the check."""
    files = dict(render(fleet, generation))
    findings = check_rendered_files(files, generation)
    for finding in findings:
        _print(str(finding))
    write_files(files, out)
    if not GENERATIONS[generation].has_routes and any(kit.routes for kit in fleet.kits.values()):
        _print(f"routes are left out: {generation} does not have any")
    _print(f"{len(files)} files in {out}, {len(findings)} to fix")
    return 1 if findings else 0


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
