"""Collecting plugins: they are located by entry point, isolated where they fail, and requested by name."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from scenekit.config import Config
from scenekit.errors import BoardError, InputError, PluginError, nearest, one_line, repr_of, summary
from scenekit.hooks import specs
from scenekit.hooks.records import (
    API_VERSION,
    NO_DETECTOR,
    BackboneSpec,
    BalancerSpec,
    DatasetSpec,
    DetectorSpec,
    LabelerSpec,
    ModalitySpec,
    RuntimeSpec,
    TaskSpec,
    TrackerSpec,
    WeightSource,
)
from scenekit.io.streams import diverted
from scenekit.keys import PLUGIN_GROUP

KINDS: Mapping[str, tuple[str, type[Any]]] = {
    "task": ("scenekit_tasks", TaskSpec),
    "backbone": ("scenekit_backbones", BackboneSpec),
    "detector": ("scenekit_detectors", DetectorSpec),
    "dataset": ("scenekit_datasets", DatasetSpec),
    "labeler": ("scenekit_labelers", LabelerSpec),
    "modality": ("scenekit_modalities", ModalitySpec),
    "balancer": ("scenekit_balancers", BalancerSpec),
    "weights": ("scenekit_weights", WeightSource),
    "runtime": ("scenekit_runtimes", RuntimeSpec),
    "tracker": ("scenekit_trackers", TrackerSpec),
}
"""Kinds of records: the hook that returns them and their type."""

_log = logging.getLogger(__name__)

LONGEST = 10_000
"""How many characters of an error are kept in one that names its plugin."""


@dataclass(frozen=True)
class Origin:
    """The entry point and the distribution that a plugin is from."""

    plugin: str
    """The name of the entry point."""
    distribution: str
    """The name of the distribution."""
    version: str
    """The version of the distribution."""

    def __str__(self) -> str:
        return f"{self.plugin} of {self.distribution} {self.version}"


@dataclass(frozen=True)
class Failure:
    """A plugin that could not be loaded."""

    origin: Origin
    """Where it is from."""
    cause: str
    """The error, in one line."""


@dataclass
class Registry:
    """Every record by kind and name, the plugins that failed, and the observers of a run."""

    manager: pluggy.PluginManager
    """Pluggy's manager, which holds the plugins."""
    records: dict[str, dict[str, list[tuple[Any, Origin]]]] = field(default_factory=dict)
    """Records with their origins, by kind and name; several records of one name are an error when it is used."""
    failures: list[Failure] = field(default_factory=list)
    """Plugins that could not be loaded."""

    def names(self, kind: str) -> list[str]:
        """Return the names of a kind of records.

        Args:
            kind: One of `KINDS`, such as "task".

        Returns:
            The names, sorted.
        """
        return sorted(self.records.get(kind, {}))

    def get(self, kind: str, name: str | None) -> Any:
        """Return a record.

        A backbone `library/network` belongs to the record of the library. The detector None is that of models without
        objects.

        Args:
            kind: One of `KINDS`, such as "task".
            name: The name of the record.

        Returns:
            The record.

        Raises:
            InputError: No record has the name; the message suggests the nearest one.
            PluginError: Several plugins provide a record of the name.
        """
        if name is None and kind == "detector":
            return NO_DETECTOR
        if not isinstance(name, str):
            raise InputError(f"expected the name of a {kind}, got {repr_of(name)}")
        claims = self.records.get(kind, {}).get(name, [])
        if len(claims) == 1:
            return claims[0][0]
        if claims:
            owners = " and ".join(str(origin) for _, origin in claims)
            raise PluginError(f"{kind} {name!r} is provided by {owners}; uninstall one of them")
        library, slash, member = name.partition("/")
        if slash and member and kind == "backbone" and library + slash in self.names(kind):
            return self.get(kind, library + slash).member(member)
        broken = "".join(f"; plugin {failure.origin} failed: {failure.cause}" for failure in self.failures)
        raise InputError(f"unknown {kind} {name!r}{nearest(name, self.names(kind))}{broken}")

    def origin(self, kind: str, name: str) -> Origin:
        """Return where a record is from.

        Args:
            kind: One of `KINDS`, such as "task".
            name: The name of the record.

        Returns:
            The plugin and its distribution.

        Raises:
            InputError: No record has the name.
        """
        self.get(kind, name)
        known = self.records[kind]
        return known[name if name in known else f"{name.partition('/')[0]}/"][0][1]

    def owner(self, record: Any) -> Origin | None:
        """Return where a record is from.

        Args:
            record: The record, or what options made of it.

        Returns:
            The plugin and its distribution; None for a record of no plugin.
        """
        claims = (claim for named in self.records.values() for claims in named.values() for claim in claims)
        return next((origin for known, origin in claims if _is_made_of(record, known)), None)

    @property
    def tasks(self) -> dict[str, TaskSpec]:
        """Tasks whose name is unique."""
        return {name: claims[0][0] for name, claims in self.records.get("task", {}).items() if len(claims) == 1}

    def notify(self, hook: str, **values: Any) -> None:
        """Call observers; one that raises is logged and does not disturb the run or the others.

        Args:
            hook: The name of the hook.
            values: Arguments of the hook by name.
        """
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            known = {name: values[name] for name in implementation.argnames}
            try:
                with diverted():
                    implementation.function(**known)
            except BaseException as error:
                reraise_interrupt(error)
                _log.exception("plugin %s failed in %s; the run continues", implementation.plugin_name, hook)

    def add(self, plugin: object, origin: Origin) -> None:
        """Add one plugin with all its records; one that raises is recorded as a `Failure`, without any record.

        Args:
            plugin: The module or object with the hooks.
            origin: Where it is from.
        """
        try:
            self.manager.register(plugin, name=str(origin))
            self._check_hooks(plugin)
            with diverted():
                collected = [(kind, record) for kind in KINDS for record in self._collect(kind, plugin)]
        except BaseException as error:  # SystemExit in a plugin must not end the program
            reraise_interrupt(error)
            if self.manager.is_registered(plugin):
                self.manager.unregister(plugin)
            self.failures.append(Failure(origin, summary(error)))
            return
        for kind, record in collected:
            self.records.setdefault(kind, {}).setdefault(record_name(record), []).append((record, origin))

    def _check_hooks(self, plugin: object) -> None:
        known = [name for name in vars(specs) if name.startswith("scenekit_")]
        marks = {name: getattr(getattr(plugin, name, None), "scenekit_impl", None) for name in dir(plugin)}
        if unmarked := [name for name, options in marks.items() if name in known and options is None]:
            raise PluginError(f"{unmarked[0]} is not marked as a hook; decorate it with @sk.hookimpl")
        hooks = [options.get("specname") or name for name, options in marks.items() if options is not None]
        if unknown := [hook for hook in hooks if hook not in known]:
            raise PluginError(f"there is no hook {unknown[0]!r}{nearest(unknown[0], known)}")
        if not hooks:
            raise PluginError("it implements no hook; decorate functions such as scenekit_tasks with @sk.hookimpl")

    def _collect(self, kind: str, plugin: object) -> list[Any]:
        hook, record_type = KINDS[kind]
        implementations = getattr(self.manager.hook, hook).get_hookimpls()
        implementation = next((one for one in implementations if one.plugin is plugin), None)
        if implementation is None:
            return []
        returned = implementation.function()
        try:
            records = list(returned)
        except TypeError:
            kind_of_result = type(returned).__name__
            raise PluginError(
                f"{hook} must return an iterable of {record_type.__name__}, got {kind_of_result}"
            ) from None
        for record in records:
            _check_record(hook, record, record_type)
        return records


def record_name(record: Any) -> Any:
    """Return the name by which a record is requested."""
    return record.prefix if isinstance(record, WeightSource) else record.name


def _is_made_of(record: Any, known: Any) -> bool:
    """Return whether a record is the `known` one, or what options made of it."""
    if record is known or not (isinstance(record, TaskSpec) and isinstance(known, TaskSpec)):
        return record is known
    return known.configure is not None and (record.name, record.configure) == (known.name, known.configure)


def _check_record(hook: str, record: Any, record_type: type[Any]) -> None:
    if not isinstance(record, record_type):
        raise PluginError(f"{hook} must return {record_type.__name__} records, got {type(record).__name__}")
    name, api = record_name(record), getattr(record, "api", API_VERSION)
    if api != API_VERSION:
        raise PluginError(f"{name!r} is written for API {api}, this scenekit has {API_VERSION}; update one")
    if not isinstance(name, str) or not name or "." in name:
        raise PluginError(f"{hook} must return records whose name is a text without dots, got {name!r}")
    for part in ("build", "load", "read", "write", "open"):
        if hasattr(record, part) and not callable(made := getattr(record, part)):
            raise PluginError(f"`{part}` of {name!r} must be a function, got {type(made).__name__}")
    for part in ("stages", "configure", "prepare", "relabel", "transform"):
        if (made := getattr(record, part, None)) is not None and not callable(made):
            raise PluginError(f"`{part}` of {name!r} must be a function, got {type(made).__name__}")
    config = getattr(record, "config", Config)
    if not (isinstance(config, type) and issubclass(config, Config)):
        raise PluginError(f"`config` of {name!r} must be a class derived from scenekit.Config, got {config!r}")


def reraise_interrupt(error: BaseException) -> None:
    """Raise an error again that is no failure of a plugin: the user's interrupt, or the end of a generator."""
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        raise error


@contextmanager
def naming_plugin(record: Any, otherwise: str = "its plugin is not known") -> Iterator[None]:
    """Name the plugin of a record in errors that are raised inside.

    Errors that scenekit raises on purpose name it in their message, others in a note below their traceback. What would
    end the program, such as SystemExit, is a PluginError; only the user interrupts it. `otherwise` says where that was
    for a record of no plugin, and without a record.
    """
    try:
        with diverted():
            yield
    except BaseException as error:
        reraise_interrupt(error)
        origin = None if record is None else registry().owner(record)
        source = otherwise if origin is None else f"{record_name(record)!r} comes from plugin {origin}"
        if not isinstance(error, Exception):
            raise PluginError(f"a plugin must not end the program: {summary(error)} ({source})") from error
        text = one_line(error, longest=LONGEST)
        if origin is None or source in text:
            raise
        if isinstance(error, BoardError | PluginError):
            raise type(error)(f"{text} ({source})") from error
        error.add_note(source)
        raise


def _origin(entry: EntryPoint) -> Origin:
    dist = entry.dist
    return Origin(entry.name, "unknown" if dist is None else dist.name, "?" if dist is None else dist.version)


def collect(entries: list[EntryPoint]) -> Registry:
    """Return a registry of the given entry points."""
    manager = pluggy.PluginManager("scenekit")
    manager.add_hookspecs(specs)
    collected = Registry(manager)
    for entry in entries:
        try:
            with diverted():
                plugin = entry.load()
        except BaseException as error:
            reraise_interrupt(error)
            collected.failures.append(Failure(_origin(entry), summary(error)))
            continue
        collected.add(plugin, _origin(entry))
    return collected


@functools.cache
def registry() -> Registry:
    """Return the registry of everything installed, collected at first use.

    Returns:
        The registry.
    """
    return collect(list(entry_points(group=PLUGIN_GROUP)))
