"""A fleet file to start from: services as their own examples have them, on one node."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from workspace.services import Bus, ServiceError, known_services, needs_of, unknown_service

from ..generations import GENERATIONS
from .model import FleetError

_GROUPS: dict[Bus, int] = {"serial": 20, "i2c": 998, "gpio": 997}
_TEXT = """\
# What runs on which nodes. Next: make deploy-render FLEET={file}
{chosen}# of ioFog: {generations}
registry: registry.example.com/iofog   # of images; registry_id: 5 if it is private: iofogctl get registries
tag: "1.0"                             # of the images
{more}
kits:                                  # what runs together on a node; $name is what each node says, $node its name
{kits}
nodes:                                 # names as ioFog knows them: iofogctl get agents
  - {{name: edge-01, kit: example, values: {{}}}}
"""


def starter(file: str, services: Sequence[str], generation: str) -> str:
    """The text of a fleet file. Raises FleetError for a service that there is not."""
    try:
        needs = {service: needs_of(service) for service in services}
    except ServiceError:
        wrong = next(service for service in services if service not in known_services())
        raise FleetError(unknown_service(wrong)) from None
    more = []
    buses = sorted({each.bus for each in needs.values() if each.bus})
    if buses:
        groups = ", ".join(f"{bus}: {_GROUPS[bus]}" for bus in buses)
        more.append(f"groups: {{{groups}}}".ljust(39) + "# that own devices on the nodes: stat -c %g /dev/ttyUSB0")
    if GENERATIONS[generation].is_edgelet_alone:
        more.append("link: mqtt://broker.example.com".ljust(39) + "# where services send their messages")
    kit = [
        {"name": each.example.name, "service": service}
        | ({"device": each.example.device} if each.bus else {})
        | ({"devices": list(each.example.devices)} if each.example.devices else {})
        | ({"config": each.example.config} if each.example.config else {})
        for service, each in needs.items()
    ]
    kits = yaml.safe_dump({"example": {"services": kit}}, sort_keys=False, default_flow_style=None, width=110)
    return _TEXT.format(
        file=file,
        chosen=f'generation: "{generation}"'.ljust(39),
        generations=", ".join(GENERATIONS),
        more="".join(f"{line}\n" for line in more),
        kits="".join(f"  {line}\n" for line in kits.splitlines()),
    )
