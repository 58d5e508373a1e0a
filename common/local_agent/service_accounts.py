"""Tokens and certificates as Edgelet makes and mounts them, all with Ed25519 keys."""

from __future__ import annotations

import datetime
import shutil
import ssl
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID
from jwt.algorithms import OKPAlgorithm

HOST = "edgelet.default.svc.bridge.local"
_ISSUER = f"https://{HOST}"
_CLAIM = "edgelet.iofog.org"
_GROUP = f"{_CLAIM}/v1"
_RESOURCES = ("microservices/config/self", "microservices/control/self", "auth/whoami", "system/gps")
_POSITION = {"resources": ["system/gps"], "verbs": ["create"]}
_AUTHORITY = "local edgelet"


class Authority:
    """A certificate authority, and a server certificate of it.

    Parameters:
        folder: for the files.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate = folder / "ca.crt"
        self._chain = folder / "server.pem"
        key, server_key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        authority = _certify(
            *(_AUTHORITY, key, key),
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
            x509.BasicConstraints(ca=True, path_length=0),
        )
        server = _certify(
            *(HOST, server_key, key),
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()),
            x509.SubjectAlternativeName([x509.DNSName(HOST), x509.DNSName("localhost")]),
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
    """One folder for each microservice, as it is mounted: files behind a link that is swapped.

    Parameters:
        folder: for all of them.
        authority: whose certificate is mounted.
        sets_position: whether the role of a microservice allows it to set the node's position.
        lifetime_s: of a token. It is good until then, also when it has been replaced: Edgelet enforces no revocation.
    """

    def __init__(
        self,
        folder: Path,
        authority: Authority,
        lifetime_s: float = 3600.0,
        sets_position: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._sets_position = sets_position
        self._folder, self.authority, self.lifetime_s = folder, authority, lifetime_s
        self._key = Ed25519PrivateKey.generate()

    def folder_of(self, microservice_id: str) -> Path:
        """The folder that is mounted for a microservice."""
        folder = self._folder / microservice_id
        if not folder.exists():
            self.rotate(microservice_id)
        return folder

    def rotate(self, microservice_id: str) -> None:
        """Mounts a new token, and the authority as it is now."""
        folder = self._folder / microservice_id
        version = folder / f"..{uuid.uuid4().hex}"
        version.mkdir(parents=True)
        (version / "token").write_text(self.token_for(microservice_id))
        (version / "edgelet.jwk").write_text(str(OKPAlgorithm.to_jwk(self._key.public_key())))
        shutil.copy(self.authority.certificate, version / "ca.crt")
        old = (folder / "..data").readlink() if (folder / "..data").is_symlink() else None
        (folder / "..next").symlink_to(version.name)
        (folder / "..next").replace(folder / "..data")
        for file in version.iterdir():
            (folder / file.name).unlink(missing_ok=True)  # for a moment there is none, as with Edgelet
            (folder / file.name).symlink_to(f"..data/{file.name}")
        if old is not None:
            shutil.rmtree(folder / old)

    def claims_of(self, token: str) -> dict[str, Any]:
        """The claims of a token. Raises jwt.InvalidTokenError, UnicodeError."""
        key = self._key.public_key()
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=["EdDSA"], audience=_ISSUER, issuer=_ISSUER)
        return claims

    def token_for(self, microservice_id: str, resources: Sequence[str] = _RESOURCES) -> str:
        """A token, by default with the permissions of the role `microservice`."""
        now = datetime.datetime.now(datetime.UTC)
        rules = [{"resources": list(resources), "verbs": ["get"]}]
        if self._sets_position(microservice_id):
            rules.append(_POSITION)
        claims = {
            "sub": f"system:serviceaccount:local:{microservice_id}",
            "iss": _ISSUER,
            "aud": [_ISSUER],
            "iat": now,
            "nbf": now - datetime.timedelta(seconds=1),
            "exp": now + datetime.timedelta(seconds=self.lifetime_s),
            "jti": uuid.uuid4().hex,
            "tokenUse": "serviceaccount",
            _CLAIM: {
                "microservice": {"application": "local", "uuid": microservice_id},
                "rbac": {"version": "v1", "rulesByGroup": {_GROUP: rules}},
            },
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA")


def identity_of(claims: dict[str, Any]) -> str:
    """The microservice that claims are for; empty for none."""
    return str(claims[_CLAIM]["microservice"]["uuid"]).strip()


def is_allowed(claims: dict[str, Any], resource: str, verb: str) -> bool:
    """Whether the rules of a token allow something (RBAC)."""
    rules = claims[_CLAIM]["rbac"]["rulesByGroup"][_GROUP]
    return any(resource in rule["resources"] and verb in rule["verbs"] for rule in rules)


def _certify(
    name: str, key: Ed25519PrivateKey, signer: Ed25519PrivateKey, *extensions: x509.ExtensionType
) -> x509.Certificate:
    """A certificate for a key that is valid for a year; of an authority when the key signs itself."""
    signs, now = signer is key, datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        issuer_name=_name(_AUTHORITY),
        subject_name=_name(name),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - datetime.timedelta(minutes=5),
        not_valid_after=now + datetime.timedelta(days=365),
    ).add_extension(x509.KeyUsage(not signs, False, False, False, False, signs, signs, False, False), critical=True)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(signer, None)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
