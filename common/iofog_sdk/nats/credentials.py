"""Signs a NATS server's challenge with the key of a credentials file.

Ed25519 comes from the OpenSSL that Python's `ssl` uses, through ctypes: libraries for it have no wheel for 32-bit ARM
or are as large as the rest of an image. Formats: NATS ADR-14 (credentials) and github.com/nats-io/nkeys (keys).
"""

from __future__ import annotations

import _ssl  # noqa: F401 - loads libcrypto
import base64
import binascii
import ctypes
import re
from pathlib import Path
from typing import NamedTuple

from ..links.tls.credential_files import read_secret
from ..redact import shown_file

_BLOCK = re.compile(r"-+BEGIN ([A-Z ]+)-+\s*([A-Za-z0-9_.=-]+)\s*-+END")
_PREFIX_SEED = 18 << 3
_PREFIX_USER = 20 << 3
_ED25519 = 1087
"""NID_ED25519 in OpenSSL's obj_mac.h."""
_SIGNATURE_BYTES = 64


class CredentialsError(ValueError):
    """A credentials file that cannot be used."""


class Credentials(NamedTuple):
    """Content of a credentials file.

    Parameters:
        jwt: signed statement of the user's identity and permissions.
        seed: private key, 32 bytes.
    """

    jwt: str
    seed: bytes

    def __repr__(self) -> str:
        return "Credentials(…)"  # never into a log


def read_credentials(file: Path) -> Credentials:
    """Reads a `.creds` file; call it for every connection, as the file may be rotated. Raises CredentialsError."""
    try:
        blocks = dict(_BLOCK.findall(read_secret(file)))
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(
            f"credentials {shown_file(str(file))}: {getattr(error, 'strerror', None) or error}"
        ) from None
    jwt, seed = blocks.get("NATS USER JWT"), blocks.get("USER NKEY SEED")
    if not jwt or not seed:
        raise CredentialsError(f"credentials {shown_file(str(file))}: NATS USER JWT or USER NKEY SEED is missing")
    try:
        return Credentials(jwt, decode_seed(seed))
    except CredentialsError as error:
        raise CredentialsError(f"credentials {shown_file(str(file))}: {error}") from None


def decode_seed(text: str) -> bytes:
    """The private key in an encoded seed such as `SUA…`. Raises CredentialsError."""
    try:
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        raise CredentialsError("the seed is not base32") from None
    if len(raw) != 36 or binascii.crc_hqx(raw[:-2], 0) != int.from_bytes(raw[-2:], "little"):
        raise CredentialsError("the seed is damaged: its checksum is wrong")
    kind = ((raw[0] & 7) << 5) | (raw[1] >> 3)
    if raw[0] & 0xF8 != _PREFIX_SEED or kind != _PREFIX_USER:
        raise CredentialsError("the seed is not a user seed (SU…)")
    return raw[2:34]


def sign(seed: bytes, message: bytes) -> bytes:
    """The Ed25519 signature of a message (RFC 8032). Raises CredentialsError if OpenSSL lacks it."""
    crypto = _load_openssl()
    key = crypto.EVP_PKEY_new_raw_private_key(_ED25519, None, seed, len(seed))
    context = crypto.EVP_MD_CTX_new()
    try:
        signature = ctypes.create_string_buffer(_SIGNATURE_BYTES)
        size = ctypes.c_size_t(_SIGNATURE_BYTES)
        succeeded = (
            key
            and context
            and crypto.EVP_DigestSignInit(context, None, None, None, key) == 1
            and crypto.EVP_DigestSign(context, signature, ctypes.byref(size), message, len(message)) == 1
        )
        if not succeeded:
            raise CredentialsError("this OpenSSL cannot sign with Ed25519; 1.1.1 or newer is needed")
        return signature.raw
    finally:
        crypto.EVP_MD_CTX_free(context)
        crypto.EVP_PKEY_free(key)


def _load_openssl() -> ctypes.CDLL:
    library = None
    for name in ("libcrypto.so.3", "libcrypto.so.1.1"):
        try:
            library = ctypes.CDLL(name)
            break
        except OSError:
            continue
    if library is None:
        library = ctypes.CDLL(None)  # linked into the interpreter itself
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    try:
        library.EVP_PKEY_new_raw_private_key.restype = pointer
        library.EVP_PKEY_new_raw_private_key.argtypes = [ctypes.c_int, pointer, ctypes.c_char_p, size]
        library.EVP_MD_CTX_new.restype = pointer
        library.EVP_DigestSignInit.argtypes = [pointer] * 5
        library.EVP_DigestSign.argtypes = [pointer, ctypes.c_char_p, pointer, ctypes.c_char_p, size]
        library.EVP_MD_CTX_free.argtypes = library.EVP_PKEY_free.argtypes = [pointer]
    except AttributeError:
        raise CredentialsError("no OpenSSL with Ed25519 was found; 1.1.1 or newer is needed") from None
    return library
