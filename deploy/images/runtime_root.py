"""Copies what an interpreter needs to run, and no more, out of a root file system: runtime_root.py ROOT IMAGE.

That is the interpreter, its standard library, a shell for the health check, certificates, and the shared libraries
that these and what is already in IMAGE/app need, found by their ELF headers. Nothing of ROOT is run.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment

USER = 10_001
STATE = "var/lib/bridge"
LOADED_BY_NAME = ("libgcc_s.so.1",)
"""glibc opens it when a thread ends."""
_BESIDE = "/usr/local/lib"
_LEFT_OUT = (
    *("test", "tests", "idlelib", "tkinter", "turtledemo", "turtle.py", "ensurepip", "pydoc_data", "venv"),
    *("_pyrepl", "__phello__", "config-*", "site-packages", "dist-packages", "__pycache__", "*.a"),
    *("EXTERNALLY-MANAGED", "_test*.so", "_ctypes_test*.so", "xx*.so", "_xx*.so", "_tkinter*.so", "_curses*.so"),
    *("readline*.so", "_dbm*.so", "_gdbm*.so"),
)


class Root:
    """A root file system looked at from outside: its links lead inside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def real(self, path: str) -> str | None:
        """Where a path leads, seen from inside, or None."""
        place = Path("/")
        parts = list(Path(path).parts[1:])
        for _ in range(200):
            if not parts:
                return str(place) if (self.folder / str(place)[1:]).exists() else None
            part = parts.pop(0)
            place = place.parent if part == ".." else place / part
            outside = self.folder / str(place)[1:]
            if outside.is_symlink():
                link = outside.readlink()
                parts = [*(link.parts[1:] if link.is_absolute() else link.parts), *parts]
                place = Path("/") if link.is_absolute() else place.parent
        return None

    def outside(self, path: str) -> Path:
        return self.folder / path[1:]


def needed(file: Path) -> tuple[list[str], list[str], str]:
    """Libraries an ELF file asks for, where it looks first, and its loader. Raises ValueError for other files."""
    with file.open("rb") as stream:
        if stream.read(4) != b"\x7fELF":
            raise ValueError(file)
        stream.seek(0)
        elf = ELFFile(stream)
        names, paths, loader = [], [], ""
        for section in elf.iter_sections():
            if isinstance(section, DynamicSection):
                for tag in section.iter_tags():
                    if tag.entry.d_tag == "DT_NEEDED":
                        names.append(tag.needed)
                    elif tag.entry.d_tag in ("DT_RUNPATH", "DT_RPATH"):
                        paths += (tag.runpath if tag.entry.d_tag == "DT_RUNPATH" else tag.rpath).split(":")
        for segment in elf.iter_segments():
            if isinstance(segment, InterpSegment):
                loader = segment.get_interp_name()
    return names, paths, loader


def folders_of_libraries(root: Root) -> list[str]:
    found = [_BESIDE]
    for base in ("/lib", "/usr/lib"):
        found += [base, *(f"{base}/{path.name}" for path in sorted(root.folder.glob(f"{base[1:]}/*-linux-gnu*")))]
    return found


def libraries(root: Root, image: Path, first: list[Path]) -> Iterator[str]:
    """Where every library is that these files need, and those need."""
    where = folders_of_libraries(root)
    asked = [(name, []) for name in LOADED_BY_NAME]
    seen = set()

    def ask(file: Path, origin: str) -> None:
        names, paths, loader = needed(file)
        asked.extend((name, [path.replace("$ORIGIN", origin) for path in paths]) for name in names)
        if loader:
            asked.append((loader, []))

    for file in first:
        ask(file, f"/{file.parent.relative_to(image)}" if file.is_relative_to(image) else "/")
    while asked:
        name, paths = asked.pop()
        if name in seen:
            continue
        seen.add(name)
        candidates = [name] if name.startswith("/") else [f"{folder}/{name}" for folder in (*paths, *where)]
        if any((image / path.lstrip("/")).exists() for path in candidates if path.startswith("/app")):
            continue  # a wheel brought it along
        for path in candidates:
            if real := root.real(path):
                yield path
                ask(root.outside(real), str(Path(real).parent))
                break
        else:
            sys.exit(f"{name} is needed and is nowhere in {root.folder}")


def take(root: Root, image: Path, path: str) -> str:
    """Copies a file of the root, and the links on the way to it; returns where it really is."""
    real = root.real(path)
    if real is None:
        sys.exit(f"{path} is not in {root.folder}")
    target = image / real[1:]
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(root.outside(real), target)
    if real != path and not os.path.lexists(image / path[1:]):  # it may lead to a place that only exists inside
        (image / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (image / path[1:]).symlink_to(real)
    return real


def main() -> None:
    root, image = Root(Path(sys.argv[1])), Path(sys.argv[2])
    for name in ("bin", "sbin", "lib", "lib64"):
        if (root.folder / name).is_symlink():
            link = (root.folder / name).readlink()
            (image / link).mkdir(parents=True, exist_ok=True)
            (image / name).symlink_to(link)
    python = take(root, image, "/usr/local/bin/python3")
    library = Path(python).parent.parent / "lib" / Path(python).name
    inside = image / str(library)[1:]
    shutil.copytree(
        root.outside(str(library)),
        inside,
        symlinks=True,
        ignore=shutil.ignore_patterns(*_LEFT_OUT),
        dirs_exist_ok=True,
    )
    shell = take(root, image, "/bin/sh")
    objects = [image / python[1:], image / shell[1:], *image.rglob("*.so")]
    for path in libraries(root, image, [file for file in objects if not file.is_symlink()]):
        real = take(root, image, path)
        if path.startswith(_BESIDE):  # found through the loader's cache, which the image does not have
            (image / "usr/lib" / Path(path).name).symlink_to(real)
    write_settings(root, image)


def write_settings(root: Root, image: Path) -> None:
    etc = image / "etc"
    (etc / "ssl/certs").mkdir(parents=True)
    take(root, image, "/etc/ssl/certs/ca-certificates.crt")
    (image / "usr/lib/ssl").mkdir(parents=True)
    (image / "usr/lib/ssl/cert.pem").symlink_to("/etc/ssl/certs/ca-certificates.crt")
    (etc / "passwd").write_text(f"root:x:0:0:root:/:/bin/sh\nbridge:x:{USER}:{USER}::/tmp:/bin/sh\n")
    (etc / "group").write_text(f"root:x:0:\nbridge:x:{USER}:\n")
    (etc / "nsswitch.conf").write_text("hosts: files dns\n")
    (image / "tmp").mkdir()
    (image / "tmp").chmod(0o1777)
    state = image / STATE
    state.mkdir(parents=True)
    state.chmod(0o700)
    shutil.chown(state, USER, USER)


if __name__ == "__main__":
    main()
