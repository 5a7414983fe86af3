"""The environment: versions, devices, extras, plugins, folders and models, and their problems."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, entry_points, requires, version
from pathlib import Path

from scenekit.errors import summary
from scenekit.io.files import user_cache

DISTRIBUTION = "scenekit"

COMMANDS = "scenekit.commands"
"""Entry-point group of sub-commands."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r"extra == ['\"]([^'\"]+)")
_LEAST = re.compile(r">=\s*([0-9][0-9.]*)")


@dataclass(frozen=True)
class Package:
    """A distribution that scenekit can use."""

    name: str
    """Name of the distribution."""
    least: str | None
    """Oldest version that scenekit works with."""
    found: str | None
    """Installed version, if any."""

    @property
    def problem(self) -> str | None:
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
    """Name of the extra."""
    packages: tuple[Package, ...]
    """Its packages."""

    @property
    def installed(self) -> bool:
        """Whether all of its packages are installed."""
        return not any(package.problem for package in self.packages)

    @property
    def remedy(self) -> str:
        """Command that installs it."""
        return f"pip install '{DISTRIBUTION}[{self.name}]'"


@dataclass(frozen=True)
class Device:
    """A device that torch can use."""

    name: str
    """Name in torch."""
    description: str
    """Name and size of the hardware."""


@dataclass(frozen=True)
class Folder:
    """A folder for files that are kept."""

    purpose: str
    """What the files are."""
    path: str
    """Path of the folder."""
    exists: bool
    """Whether it exists."""
    writable: bool
    """Whether it can be written, or created."""


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin or command that could not be loaded."""

    plugin: str
    """Name of the plugin."""
    distribution: str
    """Distribution and version."""
    cause: str
    """The error."""


@dataclass(frozen=True)
class Environment:
    """Everything that `scenekit doctor` shows."""

    versions: dict[str, str]
    """Versions of scenekit, Python, system and torch."""
    packages: tuple[Package, ...]
    """Required packages."""
    extras: tuple[Extra, ...]
    """Optional packages."""
    devices: tuple[Device, ...]
    """Devices."""
    plugins: dict[str, list[str]]
    """Names of records by kind."""
    failures: tuple[BrokenPlugin, ...]
    """Plugins and commands that could not be loaded."""
    folders: tuple[Folder, ...]
    """Caches."""
    models: dict[str, str]
    """Folders of shipped models by name."""
    problems: tuple[str, ...] = field(default=())
    """Problems, each with a remedy."""


def examine() -> Environment:
    """Inspect the environment; nothing is changed and nothing is downloaded.

    Returns:
        The environment.
    """
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
    """Return the versions of scenekit, Python, system and torch.

    Returns:
        Versions by name.
    """
    import torch

    return {
        DISTRIBUTION: version(DISTRIBUTION),
        "python": platform.python_version(),
        "system": platform.platform(),
        "torch is built for": f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU",
    }


def requirements() -> tuple[tuple[Package, ...], tuple[Extra, ...]]:
    """Return the packages that scenekit needs, and those of its extras, from its own metadata.

    Returns:
        Required packages, and extras.
    """
    base: list[Package] = []
    extras: dict[str, list[Package]] = {}
    for text in requires(DISTRIBUTION) or ():
        requirement, _, marker = text.partition(";")
        extra = _EXTRA.search(marker)
        (extras.setdefault(extra[1], []) if extra else base).append(_package(requirement))
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
    """Return 2.14.1+cpu as (2, 14, 1)."""
    leading = re.match(r"[0-9.]*", text)
    return tuple(int(part) for part in (leading[0] if leading else "").split(".") if part)


def devices() -> Iterator[Device]:
    """Yield the processor and the devices that torch can use.

    Yields:
        Devices.
    """
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
    """Yield plugins that failed to load.

    Yields:
        Plugins with their errors.
    """
    from scenekit.hooks import registry

    for failure in registry().failures:
        origin = failure.origin
        yield BrokenPlugin(origin.plugin, f"{origin.distribution} {origin.version}", failure.cause)


def broken_commands() -> Iterator[BrokenPlugin]:
    """Yield commands whose module cannot be imported.

    Yields:
        Commands with their errors.
    """
    for entry in entry_points(group=COMMANDS):
        try:
            entry.load()
        except KeyboardInterrupt:
            raise
        except BaseException as cause:
            origin = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown"
            yield BrokenPlugin(f"command {entry.name}", origin, summary(cause))


def cache_folders() -> Iterator[Folder]:
    """Yield folders of downloads and rendered scenes.

    Yields:
        Folders.
    """
    import torch
    from huggingface_hub.constants import HF_HUB_CACHE

    places = {"scenekit": str(user_cache()), "torch hub": torch.hub.get_dir(), "Hugging Face hub": HF_HUB_CACHE}
    for purpose, place in places.items():
        path = Path(place).expanduser()
        yield Folder(purpose, str(path), path.is_dir(), _writable(path))


def _writable(path: Path) -> bool:
    """Return whether files could be written there, after creating the folder if it is missing."""
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def problems(
    packages: tuple[Package, ...], failures: tuple[BrokenPlugin, ...], folders: tuple[Folder, ...]
) -> Iterator[str]:
    """Yield what is broken, each with a remedy; a missing extra is not a problem.

    Args:
        packages: Required packages.
        failures: Plugins and commands that could not be loaded.
        folders: Caches.

    Yields:
        Problems.
    """
    for package in packages:
        if package.problem is not None:
            yield f"{package.problem}; run: pip install --upgrade {package.name}"
    for failure in failures:
        yield f"{failure.plugin} of {failure.distribution} failed: {failure.cause}; fix, update or uninstall it"
    for folder in folders:
        if not folder.writable:
            yield f"the cache of {folder.purpose}, {folder.path}, cannot be written; free it or name another folder"
