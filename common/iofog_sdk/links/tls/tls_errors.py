"""What a failed TLS connection most likely means, in words for the one who wrote the URL."""

from __future__ import annotations

_CLIENT_CERTIFICATE = "it wants a client certificate: ?certificate= and ?key="
_UNKNOWN_CERTIFICATE = "it does not accept the client certificate"
_NO_TLS = "a port without TLS does that: write {plain}"
_REMEDIES = {
    "CERTIFICATE_VERIFY_FAILED": "check ?ca=, and that the certificate names this host",
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "UNEXPECTED_EOF_WHILE_READING": _NO_TLS,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _CLIENT_CERTIFICATE,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": _CLIENT_CERTIFICATE,
    "SSLV3_ALERT_BAD_CERTIFICATE": _UNKNOWN_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _UNKNOWN_CERTIFICATE,
    "TLSV1_ALERT_UNKNOWN_CA": _UNKNOWN_CERTIFICATE,
}
"""By OpenSSL's reason."""


def is_of_tls(error: BaseException) -> bool:
    """Whether an error is one of TLS itself, or of a connection that ended while TLS was agreed on."""
    return getattr(error, "reason", None) is not None or isinstance(
        error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError
    )


def describe_tls_error(error: OSError, *, plain: str = "", has_certificate: bool) -> str:
    """Why no TLS connection came about, and what to do about it.

    Parameters:
        error: of the attempt, one for which `is_of_tls` holds.
        plain: how to write a URL without TLS; "" where the server is known to have TLS.
        has_certificate: whether the client has one.
    """
    reason = getattr(error, "reason", None)  # of ssl.SSLError, without importing ssl
    remedy = _REMEDIES.get(reason or "", "check ?ca=").format(plain=plain)
    detail = getattr(error, "verify_message", "").rstrip(".") or reason
    if reason is None or remedy == _CLIENT_CERTIFICATE:  # the one or the other, as the race ends
        likely = _UNKNOWN_CERTIFICATE if has_certificate else _CLIENT_CERTIFICATE
        detail = "it has closed the connection"
        remedy = likely if reason or not plain else f"{_NO_TLS.format(plain=plain)}, or {likely}"
    return f"TLS: {detail}; {remedy}"
