"""TLS of links: files of certificates and passwords, and what a failed connection most likely means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy_exports

if TYPE_CHECKING:
    from .credential_files import create_tls_context, read_password
    from .tls_errors import describe_tls_error, is_of_tls
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "credential_files": ("create_tls_context", "read_password"),
            "tls_errors": ("describe_tls_error", "is_of_tls"),
        },
    )

__all__ = ["create_tls_context", "describe_tls_error", "is_of_tls", "read_password"]
