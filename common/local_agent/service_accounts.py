"""Tokens and certificates as Edgelet makes and mounts them: a certificate authority, and tokens that are replaced."""

from __future__ import annotations

import datetime
import shutil
import ssl
import uuid
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

HOST = "edgelet.default.svc.bridge.local"
_ISSUER = f"https://{HOST}"
_CLAIM = "edgelet.iofog.org"
_YEAR = datetime.timedelta(days=365)


class TokenRefused(Exception):  # noqa: N818 - the name says what happened
    """A token that is not, or no longer, good."""


class Authority:
    """A certificate authority, and a server certificate of it.

    Parameters:
        folder: for the files.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate = folder / "ca.crt"
        self._chain = folder / "server.pem"
        now = datetime.datetime.now(datetime.UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local edgelet")])
        authority = (
            _certificate(name, name, key.public_key(), now)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(_usage(signs=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        server_key = ec.generate_private_key(ec.SECP256R1())
        server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
        server = (
            _certificate(server_name, name, server_key.public_key(), now)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(HOST), x509.DNSName("localhost")]), critical=False
            )
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
            .add_extension(_usage(signs=False), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.certificate.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
        self._chain.touch(mode=0o600)
        self._chain.write_bytes(
            server_key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + server.public_bytes(serialization.Encoding.PEM)
        )

    def server_context(self) -> ssl.SSLContext:
        """For the server's listener."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._chain)
        return context


class ServiceAccounts:
    """One folder for each microservice, as it is mounted: `token` and `ca.crt` behind a link that is swapped.

    Parameters:
        folder: for all of them.
        authority: whose certificate is mounted.
        lifetime_s: of a token.
    """

    def __init__(self, folder: Path, authority: Authority, lifetime_s: float = 3600.0) -> None:
        self._folder, self.authority, self.lifetime_s = folder, authority, lifetime_s
        self._key = Ed25519PrivateKey.generate()
        self._current: dict[str, str] = {}

    def folder_of(self, microservice_id: str) -> Path:
        """What is mounted for a microservice."""
        folder = self._folder / microservice_id
        if not folder.exists():
            self.rotate(microservice_id)
        return folder

    def rotate(self, microservice_id: str) -> None:
        """Mounts a new token, and the authority as it is now; the token before is good no longer."""
        folder = self._folder / microservice_id
        version = folder / f"..{uuid.uuid4().hex}"
        version.mkdir(parents=True)
        (version / "token").write_text(self._token(microservice_id))
        shutil.copy(self.authority.certificate, version / "ca.crt")
        old = (folder / "..data").readlink() if (folder / "..data").is_symlink() else None
        (folder / "..next").symlink_to(version.name)
        (folder / "..next").replace(folder / "..data")
        for name in ("token", "ca.crt"):
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(f"..data/{name}")
        if old is not None:
            shutil.rmtree(folder / old)

    def identity_of(self, token: str) -> str:
        """The microservice a token is for, "" for one without. Raises TokenRefused."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self._key.public_key(), algorithms=["EdDSA"], audience=_ISSUER, issuer=_ISSUER
            )
        except jwt.InvalidTokenError as error:
            raise TokenRefused(str(error)) from None
        identity = str(claims.get(_CLAIM, {}).get("microservice", {}).get("uuid", ""))
        if identity and self._current.get(identity) != claims.get("jti"):
            raise TokenRefused("revoked")
        return identity

    def _token(self, microservice_id: str) -> str:
        now = datetime.datetime.now(datetime.UTC)
        identity = uuid.uuid4().hex
        self._current[microservice_id] = identity
        resources = ["microservices/config/self", "microservices/control/self"]
        rules = {f"{_CLAIM}/v1": [{"resources": resources, "verbs": ["get"]}]}
        claims = {
            "sub": f"system:serviceaccount:local:{microservice_id}",
            "iss": _ISSUER,
            "aud": [_ISSUER],
            "iat": now,
            "nbf": now - datetime.timedelta(seconds=1),
            "exp": now + datetime.timedelta(seconds=self.lifetime_s),
            "jti": identity,
            "tokenUse": "serviceaccount",
            _CLAIM: {
                "microservice": {"application": "local", "uuid": microservice_id},
                "rbac": {"version": "v1", "rulesByGroup": rules},
            },
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA")


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + _YEAR)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
