"""What Edgelet mounts into a container, so that it is trusted and can trust: a token and a certificate authority.

The token is replaced two minutes before it ends, by swapping a link, and the authority can be replaced too: both are
read anew for every request and every connection.
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
_AGAIN = "it is read anew for each attempt"
_TOKEN = re.compile(r"[!-~]+")
"""What a header can carry as one word (RFC 9110, 5.5)."""


class ServiceAccount:
    """One microservice's.

    Parameters:
        folder: with `token` and `ca.crt`.
        server_hostname: that the node's certificate is for, whatever address it is reached by.
    """

    def __init__(self, folder: Path = FOLDER, server_hostname: str = EDGELET_HOST) -> None:
        self.folder, self.server_hostname = folder, server_hostname

    def context(self) -> ssl.SSLContext:
        """For one connection. Raises NodeUnreachable."""
        file = self.folder / "ca.crt"
        try:
            context = ssl.create_default_context(cafile=str(file))
        except OSError as error:  # ssl.SSLError is one
            reason = error.strerror or str(error)
            raise NodeUnreachable(f"{file}: {reason}; Edgelet mounts it for microservices of a Controller") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def authorization(self) -> tuple[str, str]:
        """The header for one request. Raises NodeUnreachable, also for a file that is being written just now."""
        file = self.folder / "token"
        try:
            with file.open("rb") as stream:
                data = stream.read(_MAX_TOKEN_BYTES + 1)
            token = data.decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not ASCII"
            raise NodeUnreachable(f"{file}: {reason}; Edgelet mounts it for microservices of a Controller") from None
        if not token:
            raise NodeUnreachable(f"{file} is empty; {_AGAIN}")
        if len(data) > _MAX_TOKEN_BYTES or not _TOKEN.fullmatch(token):
            raise NodeUnreachable(f"{file} holds more than a token; {_AGAIN}")
        return ("Authorization", f"Bearer {token}")


class Tls(TypedDict, total=False):
    """Arguments of asyncio's functions that connect."""

    ssl: ssl.SSLContext
    server_hostname: str


def tls_of(account: ServiceAccount | None) -> Tls:
    """For a connection with this account, or without TLS. Raises NodeUnreachable."""
    return {} if account is None else {"ssl": account.context(), "server_hostname": account.server_hostname}


def explained(error: OSError) -> str:
    """Why no connection could be made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); is ca.crt that of this node?"
    return error.strerror or str(error)
