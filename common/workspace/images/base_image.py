"""The image that images are built on: named by its digest in the Dockerfile, and how that is renewed.

Distribution specification 1.1 of the Open Container Initiative: tokens, `HEAD /v2/NAME/manifests/TAG`.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

DOCKERFILE = "deploy/images/Dockerfile"
_BASE = re.compile(r"(?<=\nARG PYTHON=)(?P<image>\S+?)@(?P<digest>sha256:[0-9a-f]{64})(?=\n)")
_PACKAGE = Path(__file__).parents[1]
_ROOT = next((root for root in (_PACKAGE, Path(__file__).parents[3]) if (root / DOCKERFILE).exists()), Path())
"""Of this project; in its wheel, which holds what images are made with, the package itself."""
_HUB = "https://registry-1.docker.io"
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_TIMEOUT_S = 30.0


class RegistryError(Exception):
    """A registry does not tell which image a tag means."""


def files_to_copy() -> dict[str, str]:
    """What images are made with, for a project that has this package's wheel: paths and texts; none in this one."""
    folder = _PACKAGE / Path(DOCKERFILE).parent
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return {str(file.relative_to(_PACKAGE)): file.read_text() for file in files}


def pinned_base(root: Path = _ROOT) -> str:
    """The base image by tag and digest, as the Dockerfile names it."""
    found = _BASE.search((root / DOCKERFILE).read_text())
    if found is None:
        raise RegistryError(f"{DOCKERFILE} names no base image by its digest")
    return found[0]


def renew_base(root: Path = _ROOT, registry: str = _HUB) -> tuple[str, str]:
    """Writes the digest that the tag means now into the Dockerfile; returns the base before and after.

    Parameters:
        root: of the project.
        registry: its URL.

    Raises RegistryError.
    """
    before = pinned_base(root)
    image = before.partition("@")[0]
    name, _, tag = image.removeprefix("docker.io/").rpartition(":")
    after = f"{image}@{newest_digest(registry, name, tag)}"
    file = root / DOCKERFILE
    file.write_text(file.read_text().replace(before, after))
    return before, after


def newest_digest(registry: str, name: str, tag: str) -> str:
    """The digest of a tag's index, which has an image for each architecture. Raises RegistryError."""
    url = f"{registry}/v2/{name}/manifests/{tag}"
    try:
        try:
            headers = _head(url, "")
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            headers = _head(url, _token(error.headers.get("WWW-Authenticate", "")))
    except (OSError, ValueError, KeyError) as error:
        raise RegistryError(f"{url}: {error}") from None
    digest, kind = headers.get("Docker-Content-Digest", ""), headers.get("Content-Type", "")
    if kind not in _INDEXES or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise RegistryError(f"{url}: no index of images for several architectures ({kind or 'no type'})")
    return digest


def _head(url: str, token: str) -> dict[str, str]:
    headers = {"Accept": ", ".join(_INDEXES)} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, method="HEAD", headers=headers)  # noqa: S310 - a registry's URL
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:  # noqa: S310
        return dict(reply.headers)


def _token(challenge: str) -> str:
    given = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    query = urllib.parse.urlencode({name: given[name] for name in ("service", "scope") if name in given})
    with urllib.request.urlopen(f"{given['realm']}?{query}", timeout=_TIMEOUT_S) as reply:  # noqa: S310
        return str(json.load(reply)["token"])
