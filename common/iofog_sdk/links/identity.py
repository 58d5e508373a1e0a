"""The names of this microservice, for subjects and topics, from the container's environment."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


class Identity(NamedTuple):
    """Names that are safe in a NATS subject and in an MQTT topic.

    Parameters:
        application: name of the ioFog application.
        microservice: name within the application.
        uuid: given by the platform, "" outside ioFog.
    """

    application: str
    microservice: str
    uuid: str = ""

    def expand(self, template: str, microservice: str = "") -> str:
        """A subject or topic with its placeholders replaced by these names.

        Parameters:
            template: with `{application}` and `{microservice}`.
            microservice: another one of the same application; "" for this one.
        """
        names = {"{application}": self.application, "{microservice}": _sanitize(microservice or self.microservice)}
        for placeholder, name in names.items():
            template = template.replace(placeholder, name)
        return template


def read_identity(environment: Mapping[str, str]) -> Identity:
    """The identity in the environment.

    `IOFOG_APPLICATION` and `IOFOG_MICROSERVICE` take precedence. Edgelet (ioFog 3.8) sets `EDGELET_APPLICATION_NAME`
    and `EDGELET_MICROSERVICE_NAME`; agents of 3.7 have both in the path `/etc/nats/creds/<app>/<ms>.creds`.
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
    return Identity(_sanitize(application), _sanitize(microservice), uuid)


def _sanitize(name: str) -> str:
    return _UNSAFE.sub("-", name).strip("-") or "unnamed"
