"""Deploys a fleet's manifests with the platform's own command line tool."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from ..generations import GENERATIONS
from .model import Fleet, FleetError

TOOLS = {
    "iofog.org/v3": ("iofogctl", "potctl"),
    "datasance.com/v3": ("potctl", "iofogctl"),
}
_INSTALL = (
    "Install iofogctl (https://iofog.org/docs) or potctl (https://docs.datasance.com), of the Controller's own "
    "version, then connect it: {0} connect --help"
)


def find_tool(fleet: Fleet, generation: str, which: Callable[[str], str | None] = shutil.which) -> str:
    """The tool that deploys this fleet. Raises FleetError, which names what to install."""
    if GENERATIONS[generation].is_edgelet_alone:
        raise FleetError(
            "Edgelet alone has no Controller to send a fleet to. Copy nodes/NAME.yaml to each node and run there: "
            "edgelet deploy -f NAME.yaml"
        )
    tools = TOOLS[fleet.api_version_for(generation)]
    for tool in tools:
        if which(tool):
            return tool
    raise FleetError(f"neither {tools[0]} nor {tools[1]} is on the path. {_INSTALL.format(tools[0])}")


def nodes_wanted(fleet: Fleet, names: Sequence[str] = (), ring: str = "") -> list[str]:
    """Names of the nodes to deploy: these, those of a ring, or all. Raises FleetError for one that there is not."""
    there = [node.name for node in fleet.nodes]
    if unknown := [name for name in names if name not in there]:
        raise FleetError(f"NODES: the fleet has no node {unknown[0]!r}; there are {', '.join(there[:20])}")
    rings = fleet.rings()
    if ring and ring not in rings:
        raise FleetError(f"RING: the fleet has no ring {ring!r}; there are {', '.join(rings)}")
    members = [node.name for node in rings[ring]] if ring else there
    return [name for name in members if name in names] if names else members


def deploy(
    tool: str, folder: Path, nodes: Sequence[str], *, namespace: str = "", report: Callable[[str], object] = print
) -> int:
    """Deploys rendered manifests, templates first; returns how many nodes failed.

    A node that fails does not keep the others from being deployed. Raises FleetError when the templates are refused.

    Parameters:
        tool: command.
        folder: with the rendered manifests.
        nodes: names.
        namespace: of the tool; by default its own.
        report: prints a line.
    """
    options = ["--namespace", namespace] if namespace else []
    if _run([tool, "deploy", "-f", str(folder / "templates.yaml"), *options]):
        raise FleetError(f"{tool} refused {folder}/templates.yaml, see above; no node was changed")
    failed = [
        name for name in nodes if _run([tool, "deploy", "-f", str(folder / "nodes" / f"{name}.yaml"), *options])
    ]
    report(f"{len(nodes) - len(failed)} of {len(nodes)} nodes deployed")
    if failed:
        report(f"failed: {', '.join(failed)}. Try these again: NODES='{' '.join(failed)}'")
    return len(failed)


def _run(command: list[str]) -> int:
    return subprocess.run(command, check=False).returncode
