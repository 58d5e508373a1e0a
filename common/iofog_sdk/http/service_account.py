"""The service account that Edgelet mounts into a container: a bearer token and a certificate authority.

Edgelet replaces the token two minutes before it expires, and may replace the authority: both are read again for every
request and every connection. It swaps the link `..data` to a folder with both, removes the folder before, and then
makes the files' own links again, which are missing for a moment.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import TypedDict

from ..errors import NodeUnreachable
from .hosts import EDGELET_HOST

FOLDER = Path("/var/run/secrets/edgelet.iofog.org/serviceaccount")
_CURRENT = "..data"
_ATTEMPTS = 5
"""More swaps than can be between the steps of a read."""
_MAX_BYTES = 65_536
_RETRIED = "it is read again at each attempt"
_MOUNTED = "Edgelet mounts it for microservices of a Controller"
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
        try:
            context = ssl.create_default_context(cadata=self._read("ca.crt").decode("ascii"))
        except (ssl.SSLError, UnicodeDecodeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no certificate in PEM form"
            raise NodeUnreachable(f"{self.folder / 'ca.crt'}: {reason}; {_RETRIED}") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return {"ssl": context, "server_hostname": self.server_hostname}

    def authorization(self) -> tuple[str, str]:
        """The header for one request. Raises NodeUnreachable, also for a file that is only partly written."""
        file = self.folder / "token"
        data = self._read("token")
        try:
            token = data.decode("ascii").strip()
        except UnicodeDecodeError:
            raise NodeUnreachable(f"{file}: not ASCII; {_MOUNTED}") from None
        if not token:
            raise NodeUnreachable(f"{file} is empty; {_RETRIED}")
        if len(data) > _MAX_BYTES or not _TOKEN.fullmatch(token):
            raise NodeUnreachable(f"{file} is not a bearer token; {_RETRIED}")
        return ("Authorization", f"Bearer {token}")

    def _read(self, name: str) -> bytes:
        """A file's content, by the link that is swapped at once; where there is none, by the file's own name.

        The link's old folder is removed behind the swap: between following the link and opening the file it can be
        gone, and the link is then followed again.
        """
        error: OSError | None = None
        for _ in range(_ATTEMPTS):
            for file in (self.folder / _CURRENT / name, self.folder / name):
                try:
                    with file.open("rb") as stream:
                        return stream.read(_MAX_BYTES + 1)
                except OSError as failed:
                    error = failed
            if not (self.folder / _CURRENT).is_symlink():
                break
        reason = error.strerror if error else ""
        raise NodeUnreachable(f"{self.folder / name}: {reason}; {_MOUNTED}")
