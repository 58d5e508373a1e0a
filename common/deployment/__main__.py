"""`python -m deployment check FILE... --generation G`: manifests that every ioFog tool would take, checked."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .check import check_documents
from .documents import ManifestError, load
from .generations import GENERATIONS


def main(arguments: list[str] | None = None) -> int:
    """Prints what is wrong, a line each. Exit status 1 when something is."""
    parser = argparse.ArgumentParser(prog="python -m deployment", description=(__doc__ or "").split(": ", 1)[1])
    verbs = parser.add_subparsers(dest="verb", required=True)
    check = verbs.add_parser("check", help="check manifests that are deployed together")
    check.add_argument("files", type=Path, nargs="+")
    check.add_argument("--generation", choices=tuple(GENERATIONS), required=True)
    options = parser.parse_args(arguments)
    try:
        documents = [document for file in options.files for document in load(file)]
        findings = check_documents(documents, GENERATIONS[options.generation])
    except ManifestError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    for finding in findings:
        sys.stdout.write(f"{finding}\n")
    count, wrong = len(documents), sum(finding.must_be_mended for finding in findings)
    sys.stdout.write(f"{count} document{'s' * (count != 1)}, {wrong} to mend\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
