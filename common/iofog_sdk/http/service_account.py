"""The service account that Edgelet mounts into a container: a bearer token and a certificate authority.

Edgelet replaces the token two minutes before it expires, by swapping a symbolic link, and may replace the authority:
both are read again for every request and every connection.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import TypedDict

from ..errors import NodeUnreachable
from .hosts import EDGELET_HOST

FOLDER = Path("/var/run/secrets/edgelet.iofog.org/serviceaccount")
_MAX_TOKEN_BYTES = 16_384
_RETRIED = "it is read again at each attempt"
_TOKEN = re.compile(r"[!-~]+")
"""Visible ASCII, which a header value can hold as one word (RFC 9110, 5.5)."""


class Tls(TypedDict, total=False):
    """Arguments of asyncio's connect functions."""

    ssl: ssl.SSLContext
    server_hostname: str


class ServiceAccount:
    """Credentials of one microservice.

    Parameters:
        folder: holds `token` and `ca.crt`.
        server_hostname: name in the node's certificate, whatever address it is reached by.
    """

    def __init__(self, folder: Path = FOLDER, server_hostname: str = EDGELET_HOST) -> None:
        self.folder, self.server_hostname = folder, server_hostname

    def tls(self) -> Tls:
        """TLS arguments for one connection. Raises NodeUnreachable."""
        file = self.folder / "ca.crt"
        try:
            context = ssl.create_default_context(cafile=str(file))
        except OSError as error:  # ssl.SSLError is one
            reason = error.strerror or str(error)
            raise NodeUnreachable(f"{file}: {reason}; Edgelet mounts it for microservices of a Controller") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return {"ssl": context, "server_hostname": self.server_hostname}

    def authorization(self) -> tuple[str, str]:
        """The header for one request. Raises NodeUnreachable, also for a file that is only partly written."""
        file = self.folder / "token"
        try:
            with file.open("rb") as stream:
                data = stream.read(_MAX_TOKEN_BYTES + 1)
            token = data.decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not ASCII"
            raise NodeUnreachable(f"{file}: {reason}; Edgelet mounts it for microservices of a Controller") from None
        if not token:
            raise NodeUnreachable(f"{file} is empty; {_RETRIED}")
        if len(data) > _MAX_TOKEN_BYTES or not _TOKEN.fullmatch(token):
            raise NodeUnreachable(f"{file} is not a bearer token; {_RETRIED}")
        return ("Authorization", f"Bearer {token}")
