"""Files that the options of a link name: passwords, certificates and keys. Errors name option and file."""

from __future__ import annotations

import errno
import ssl
from pathlib import Path

from ...redact import shown_file

_MAX_BYTES = 65_536
_KEY_MISMATCH = ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""OpenSSL's reasons for a key that belongs to another certificate: of the same type, of another type."""


def create_tls_context(ca: str, certificate: str = "", key: str = "") -> ssl.SSLContext:
    """TLS settings of a client. Raises OSError, never ssl.SSLError, whose `strerror` names option and file.

    Parameters:
        ca: PEM file of the authority that signed the server's certificate; "" for the system's authorities.
        certificate: PEM file that authenticates the client; "" for none.
        key: PEM file of the certificate's key; "" if it is in the same file.
    """
    try:
        context = ssl.create_default_context(cafile=ca or None)
    except OSError as error:
        raise _file_error("ca", ca, error) from None
    if certificate:
        _load_client_certificate(context, certificate, key)
    return context


def read_secret(file: Path) -> str:
    """The present text of a file that holds a secret. Raises UnicodeDecodeError, OSError, also if it is too large."""
    with file.open("rb") as stream:
        data = stream.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise OSError(errno.EFBIG, f"is larger than {_MAX_BYTES} bytes")
    return data.decode()


def read_password(file: str) -> str:
    """The present content of a password file. Raises OSError, whose `strerror` names option and file."""
    try:
        return read_secret(Path(file)).strip()
    except OSError as error:
        raise _file_error("password_file", file, error) from None
    except UnicodeDecodeError:
        raise _content_error("password_file", file, "is not UTF-8 text") from None


def _file_error(option: str, file: str, error: OSError) -> OSError:
    """The error with option and file in its `strerror`."""
    if isinstance(error, ssl.SSLError):  # its own text is mostly `[SSL] PEM lib (_ssl.c:3905)`
        return _content_error(option, file, "holds no certificate in PEM form")
    return OSError(error.errno, f"{option} {shown_file(file)}: {error.strerror or error}")


def _load_client_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    for option, file in (("certificate", certificate), ("key", key)):
        try:
            if file:
                Path(file).open("rb").close()
        except OSError as error:
            raise _file_error(option, file, error) from None
    option, file = ("key", key) if key else ("certificate", certificate)
    try:
        context.load_cert_chain(certificate, key or None, password="")  # None makes OpenSSL ask at the terminal
    except ssl.SSLError as error:
        if error.reason in _KEY_MISMATCH:
            raise _content_error(option, file, f"its key does not match the certificate in {certificate}") from None
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
        except OSError as invalid:
            raise _file_error("certificate", certificate, invalid) from None
        raise _content_error(option, file, "holds no private key in PEM form, or an encrypted one") from None


def _content_error(option: str, file: str, problem: str) -> OSError:
    return OSError(errno.EINVAL, f"{option} {shown_file(file)}: {problem}")
