"""`python -m deployment VERB`: images built, manifests rendered, checked and deployed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .check import check_documents
from .documents import ManifestError, load, parse
from .fleet import FleetError, read_fleet
from .generations import GENERATIONS
from .image_options import add_image_options, images_of
from .image_report import report
from .images import ImageError, build, choose_builder
from .render import render


def main(arguments: list[str] | None = None) -> int:
    """Prints what is wrong, a line each. Exit status 1 when something is."""
    parser = argparse.ArgumentParser(
        prog="python -m deployment", description="Images built, manifests rendered, checked, deployed."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    check = verbs.add_parser("check", help="check manifests that are deployed together")
    check.add_argument("files", type=Path, nargs="+")
    check.add_argument("--generation", choices=tuple(GENERATIONS), required=True)
    rendering = verbs.add_parser("render", help="make the manifests of a fleet")
    rendering.add_argument("fleet", type=Path)
    rendering.add_argument("--generation", choices=tuple(GENERATIONS), required=True)
    rendering.add_argument("--out", type=Path, help="folder; by default build/deploy/GENERATION")
    for verb, text in (("build", "build images"), ("push", "build images and publish them")):
        add_image_options(verbs.add_parser(verb, help=text))
    add_image_options(verbs.add_parser("image-report", help="sizes, layers, users and import times of built images"))
    options = parser.parse_args(arguments)
    try:
        return _obey(options)
    except (FleetError, ImageError, ManifestError) as error:
        sys.stdout.write(f"{error}\n")
        return 1


def _obey(options: argparse.Namespace) -> int:
    if options.verb in ("build", "push"):
        build(images_of(options), choose_builder(options.builder), push=options.verb == "push")
        return 0
    if options.verb == "image-report":
        sys.stdout.write(report(images_of(options), options.builder))
        return 0
    if options.verb == "render":
        return _render(options.fleet, options.generation, options.out or Path("build/deploy", options.generation))
    documents = [document for file in options.files for document in load(file)]
    findings = check_documents(documents, GENERATIONS[options.generation])
    for finding in findings:
        sys.stdout.write(f"{finding}\n")
    count, wrong = len(documents), sum(finding.must_be_mended for finding in findings)
    sys.stdout.write(f"{count} document{'s' * (count != 1)}, {wrong} to mend\n")
    return 1 if wrong else 0


def _render(file: Path, generation: str, out: Path) -> int:
    """Writes manifests that are checked; files of nodes that are gone are removed."""
    rendered = dict(render(read_fleet(file), generation))
    documents = [
        document for name, text in rendered.items() if not name.startswith("cdi/") for document in parse(text, name)
    ]
    findings = [f for f in check_documents(documents, GENERATIONS[generation]) if f.must_be_mended]
    for finding in findings:
        sys.stdout.write(f"{finding}\n")
    for old in sorted(out.rglob("*.yaml")):
        if str(old.relative_to(out)) not in rendered:
            old.unlink()
    for name, text in rendered.items():
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    sys.stdout.write(f"{len(rendered)} files in {out}, {len(findings)} to mend\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
