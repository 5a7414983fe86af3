"""What there is to work with: versions, devices, extras, plugins, folders and models, and what is wrong with them."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, entry_points, requires, version
from pathlib import Path

DISTRIBUTION = "scenekit"

COMMANDS = "scenekit.commands"
"""Entry-point group of sub-commands."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r"extra == ['\"]([^'\"]+)")
_LEAST = re.compile(r">=\s*([0-9][0-9.]*)")


@dataclass(frozen=True)
class Package:
    """A distribution that scenekit can use; `found` is the installed version, `least` the oldest that will do."""

    name: str
    least: str | None
    found: str | None

    @property
    def fault(self) -> str | None:
        """What is wrong with it, if anything."""
        if self.found is None:
            return f"{self.name} is not installed"
        if self.least is not None and _numbers(self.found) < _numbers(self.least):
            return f"{self.name} {self.found} is older than {self.least}"
        return None


@dataclass(frozen=True)
class Extra:
    """An optional group of packages."""

    name: str
    packages: tuple[Package, ...]

    @property
    def installed(self) -> bool:
        """Whether all of it is there."""
        return not any(package.fault for package in self.packages)

    @property
    def remedy(self) -> str:
        """How to get it."""
        return f"pip install '{DISTRIBUTION}[{self.name}]'"


@dataclass(frozen=True)
class Device:
    """Something that computes."""

    name: str
    description: str


@dataclass(frozen=True)
class Folder:
    """A place where files are kept; `writable` also where it could be made."""

    purpose: str
    path: str
    exists: bool
    writable: bool


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin or command that could not be taken in."""

    plugin: str
    distribution: str
    cause: str


@dataclass(frozen=True)
class Environment:
    """Everything that was looked at. `plugins` are names of records by kind; `problems` sentences with a remedy."""

    versions: dict[str, str]
    packages: tuple[Package, ...]
    extras: tuple[Extra, ...]
    devices: tuple[Device, ...]
    plugins: dict[str, list[str]]
    failures: tuple[BrokenPlugin, ...]
    folders: tuple[Folder, ...]
    models: dict[str, str]
    problems: tuple[str, ...] = field(default=())


def examine() -> Environment:
    """Look at everything; nothing is changed and nothing is downloaded."""
    from scenekit.hooks import registry
    from scenekit.hooks.manager import KINDS
    from scenekit.weights import shipped

    packages, extras = requirements()
    folders = tuple(cache_folders())
    failures = (*broken_plugins(), *broken_commands())
    return Environment(
        versions=versions(),
        packages=packages,
        extras=extras,
        devices=tuple(devices()),
        plugins={kind: registry().names(kind) for kind in KINDS},
        failures=failures,
        folders=folders,
        models={name: str(path) for name, path in shipped().items()},
        problems=tuple(problems(packages, failures, folders)),
    )


def versions() -> dict[str, str]:
    """Of scenekit and what is below it."""
    import torch

    return {
        DISTRIBUTION: version(DISTRIBUTION),
        "python": platform.python_version(),
        "system": platform.platform(),
        "torch is built for": f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU",
    }


def requirements() -> tuple[tuple[Package, ...], tuple[Extra, ...]]:
    """The packages that scenekit needs, and those of its extras, as its own metadata says."""
    base: list[Package] = []
    extras: dict[str, list[Package]] = {}
    for text in requires(DISTRIBUTION) or ():
        wanted, _, marker = text.partition(";")
        extra = _EXTRA.search(marker)
        (extras.setdefault(extra[1], []) if extra else base).append(_package(wanted))
    return tuple(base), tuple(Extra(name, tuple(packages)) for name, packages in sorted(extras.items()))


def _package(requirement: str) -> Package:
    name, least = _NAME.match(requirement), _LEAST.search(requirement)
    assert name is not None, requirement
    try:
        found = version(name[0])
    except PackageNotFoundError:
        found = None
    return Package(name[0], least[1] if least else None, found)


def _numbers(text: str) -> tuple[int, ...]:
    """2.14.1+cpu as (2, 14, 1)."""
    leading = re.match(r"[0-9.]*", text)
    return tuple(int(part) for part in (leading[0] if leading else "").split(".") if part)


def devices() -> Iterator[Device]:
    """The processor and what torch can reach beside it."""
    import torch

    threads = f"{torch.get_num_threads()} threads of {os.cpu_count()} cores"
    yield Device("cpu", f"{platform.processor() or platform.machine()}, {threads}")
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        memory = f"{facts.total_memory / 2**30:.0f} GiB"
        yield Device(f"cuda:{index}", f"{facts.name}, {memory}, capability {facts.major}.{facts.minor}")
    if torch.backends.mps.is_available():
        yield Device("mps", "Apple's GPU")


def broken_plugins() -> Iterator[BrokenPlugin]:
    """Plugins that failed when they were collected."""
    from scenekit.hooks import registry

    for failure in registry().failures:
        origin = failure.origin
        yield BrokenPlugin(origin.plugin, f"{origin.distribution} {origin.version}", failure.cause)


def broken_commands() -> Iterator[BrokenPlugin]:
    """Sub-commands whose module cannot be imported."""
    for entry in entry_points(group=COMMANDS):
        try:
            entry.load()
        except (Exception, SystemExit) as cause:
            origin = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown"
            reason = " ".join(f"{type(cause).__name__}: {cause}".split())
            yield BrokenPlugin(f"command {entry.name}", origin, reason)


def cache_folders() -> Iterator[Folder]:
    """Where downloads and made-up scenes are kept."""
    import torch
    from huggingface_hub.constants import HF_HUB_CACHE

    own = os.environ.get("SCENEKIT_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / DISTRIBUTION
    places = {"scenekit": own, "torch hub": torch.hub.get_dir(), "Hugging Face hub": HF_HUB_CACHE}
    for purpose, place in places.items():
        path = Path(place).expanduser()
        yield Folder(purpose, str(path), path.is_dir(), _writable(path))


def _writable(path: Path) -> bool:
    """Whether files could be written there, the folder being made if need be."""
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def problems(
    packages: tuple[Package, ...], failures: tuple[BrokenPlugin, ...], folders: tuple[Folder, ...]
) -> Iterator[str]:
    """What is broken and what to do. A missing extra is no problem."""
    for package in packages:
        if package.fault is not None:
            yield f"{package.fault}; run: pip install --upgrade {package.name}"
    for failure in failures:
        yield f"{failure.plugin} of {failure.distribution} failed: {failure.cause}; mend, update or uninstall it"
    for folder in folders:
        if not folder.writable:
            yield f"the cache of {folder.purpose}, {folder.path}, cannot be written; free it or name another folder"
