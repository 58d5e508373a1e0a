"""Who this microservice is, for subjects and topics, out of what the node has told the container."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

_NOT_IN_SUBJECTS = re.compile(r"[^A-Za-z0-9_-]+")


class Identity(NamedTuple):
    """Names that are safe in a NATS subject and in an MQTT topic.

    Parameters:
        application: it belongs to.
        microservice: its name there.
        uuid: the platform's, "" outside ioFog.
    """

    application: str
    microservice: str
    uuid: str = ""

    def filled(self, template: str, microservice: str = "") -> str:
        """A subject or topic with these names in it.

        Parameters:
            template: with `{application}` and `{microservice}`.
            microservice: another of the same application.
        """
        names = {"{application}": self.application, "{microservice}": _token(microservice or self.microservice)}
        for place, name in names.items():
            template = template.replace(place, name)
        return template


def identity_from(environment: Mapping[str, str]) -> Identity:
    """The identity that the environment tells.

    `IOFOG_APPLICATION` and `IOFOG_MICROSERVICE` win; Edgelet sets `EDGELET_APPLICATION_NAME` and
    `EDGELET_MICROSERVICE_NAME`; of 3.7 the path of the credentials tells both: `/etc/nats/creds/<app>/<ms>.creds`.
    """
    credentials = PurePosixPath(environment.get("NATS_CREDS_PATH", ""))
    uuid = environment.get("EDGELET_MICROSERVICE_UID") or environment.get("SELFNAME", "")
    application = (
        environment.get("IOFOG_APPLICATION")
        or environment.get("EDGELET_APPLICATION_NAME")
        or (credentials.parent.name if credentials.suffix == ".creds" else "")
        or "default"
    )
    microservice = (
        environment.get("IOFOG_MICROSERVICE")
        or environment.get("EDGELET_MICROSERVICE_NAME")
        or (credentials.stem if credentials.suffix == ".creds" else "")
        or uuid
        or socket.gethostname()
    )
    return Identity(_token(application), _token(microservice), uuid)


def _token(name: str) -> str:
    return _NOT_IN_SUBJECTS.sub("-", name).strip("-") or "unnamed"
