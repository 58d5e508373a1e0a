"""Hands a fleet's manifests to the platform's own command line tool."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

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
    """The tool that deploys this fleet. Raises FleetError, saying what to install."""
    if generation == "edgelet":
        raise FleetError(
            "Edgelet alone has no Controller to send a fleet to. Copy nodes/NAME.yaml to each node and run there: "
            "edgelet deploy -f NAME.yaml"
        )
    tools = TOOLS[fleet.api_version_for(generation)]
    for tool in tools:
        if which(tool):
            return tool
    raise FleetError(f"neither {tools[0]} nor {tools[1]} is on the path. {_INSTALL.format(tools[0])}")


def deploy(
    tool: str,
    folder: Path,
    *,
    nodes: Sequence[str] = (),
    namespace: str = "",
    say: Callable[[str], object] = print,
) -> int:
    """Deploys rendered manifests, templates first; returns how many files failed.

    A node that fails does not keep the others from being deployed. Raises FleetError for a node that is not there,
    and when the templates are refused.

    Parameters:
        tool: command.
        folder: that `render` has filled.
        nodes: only these; by default all.
        namespace: of the tool; by default its own.
    """
    there = sorted(file.stem for file in (folder / "nodes").glob("*.yaml"))
    if unknown := [name for name in nodes if name not in there]:
        raise FleetError(f"NODES: {unknown[0]!r} is none of the fleet's nodes; there are {', '.join(there[:20])}")
    told = ["--namespace", namespace] if namespace else []
    if _run([tool, "deploy", "-f", str(folder / "templates.yaml"), *told]):
        raise FleetError(f"{tool} refused {folder}/templates.yaml, and said why above; no node was touched")
    wanted = list(nodes) or there
    failed = [name for name in wanted if _run([tool, "deploy", "-f", str(folder / "nodes" / f"{name}.yaml"), *told])]
    say(f"{len(wanted) - len(failed)} of {len(wanted)} nodes deployed")
    if failed:
        say(f"failed: {', '.join(failed)}. Try these again: NODES='{' '.join(failed)}'")
    return len(failed)


def _run(command: list[str]) -> int:
    return subprocess.run(command, check=False).returncode
