"""Messages of a bag: of an MCAP file, of a folder that `ros2 bag record` wrote, of a SQLite or ROS 1 file.

MCAP files are read by the package mcap, which also reads what is left of one that is cut off, and ignores channels that
are not of ROS 2; other bags by rosbags.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from scenekit.errors import InputError, one_line
from scenekit.io.files import path_named
from scenekit.ros.definitions import DEFAULT_DISTRO, typestore
from scenekit.ros.headers import SECOND
from scenekit.ros.packages import imported

EXPECTED = "an .mcap file, a folder that `ros2 bag record` wrote, or a .db3 or .bag file"

MAGIC = b"\x89MCAP0\r\n"

MESSAGES_COMPRESSED = re.compile(r"^ *compression_mode: *[\"']?message", re.MULTILINE | re.IGNORECASE)
"""In metadata.yaml: each message is compressed by itself, which rosbags reads."""

IDL_SEPARATOR = "=" * 80 + "\n"


@dataclass
class BagNotes:
    """Lines about a bag for people, each thing once."""

    on_note: Callable[[str], None]
    """Gets a line."""
    _printed: set[str] = field(default_factory=set)

    def once(self, kind: str, line: str) -> None:
        """Print a line, unless one of its kind has been printed.

        Args:
            kind: What it is about.
            line: The line.
        """
        if kind not in self._printed:
            self._printed.add(kind)
            self.on_note(line)


def note_damage(notes: BagNotes, topic: str, error: InputError) -> None:
    """Report the first message of a topic that is damaged.

    Args:
        notes: Gets the line.
        topic: Name of the topic.
        error: What is damaged.
    """
    notes.once(f"messages of {topic}", f"damaged messages are left out: {error}")


@dataclass(frozen=True)
class Logged:
    """A message of a bag, before it is decoded."""

    topic: str
    """Name of its topic."""
    time: int
    """Nanoseconds at which it was recorded."""
    decode: Callable[[], Any]
    """Decodes it; other libraries raise nearly anything on damaged bytes."""

    def message(self) -> Any:
        """Decode the message.

        Returns:
            The message.

        Raises:
            InputError: Its bytes are damaged.
        """
        try:
            return self.decode()
        except Exception as cause:
            raise InputError(
                f"{self.topic}: the message recorded at {self.time / SECOND:.3f} s is damaged ({one_line(cause)})"
            ) from cause


class Messages(ABC):
    """What reads the messages of a bag."""

    types: dict[str, str]
    """Types of messages by topic."""
    counts: dict[str, int]
    """Numbers of messages by topic, as far as they are known."""
    span: tuple[int, int] | None
    """Nanoseconds of the first and the last message of all topics; None where they are unknown."""

    @abstractmethod
    def read(self, topics: Collection[str]) -> Iterator[Logged]:
        """Yield the messages of topics in the order in which they were recorded.

        Args:
            topics: Names of topics; those that are absent do not count.

        Yields:
            Their messages.
        """


@contextmanager
def opened(path: str | os.PathLike[str], notes: BagNotes) -> Iterator[Messages]:
    """Open a bag.

    Args:
        path: The bag.
        notes: Gets a line about each damage.

    Yields:
        What reads its messages.

    Raises:
        InputError: There is no bag, it cannot be read, or a package is absent.
    """
    place = path_named(path)
    if not place.exists():
        raise InputError(f"no such bag: {place}; expected {EXPECTED}")
    files = mcap_files(place)
    with ExitStack() as stack:
        if files:
            yield McapMessages(files, notes)
        else:
            yield stack.enter_context(rosbags_messages(place))


def mcap_files(place: Path) -> list[Path]:
    """Return the MCAP files of a bag in the order in which they were recorded.

    Args:
        place: A file or a folder.

    Returns:
        The files; none for a bag of another kind.
    """
    if place.is_dir():
        described = place / "metadata.yaml"
        if described.is_file() and MESSAGES_COMPRESSED.search(described.read_text(errors="replace")):
            return []
        found = [path for path in place.iterdir() if path.suffix == ".mcap"]
        return sorted(found, key=lambda path: (len(path.name), path.name))
    with place.open("rb") as stream:
        return [place] if place.suffix == ".mcap" or stream.read(len(MAGIC)) == MAGIC else []


@contextmanager
def rosbags_messages(place: Path) -> Iterator[Messages]:
    """Open a bag by rosbags.

    Args:
        place: A folder with metadata.yaml, a .db3 or a .bag file.

    Yields:
        What reads its messages.

    Raises:
        InputError: It is no bag.
    """
    highlevel = imported("rosbags.highlevel")
    try:
        reader = highlevel.AnyReader([place], default_typestore=typestore(DEFAULT_DISTRO))
        reader.open()
    except Exception as cause:  # of rosbags, of SQLite, of the YAML of the folder
        raise not_a_bag(place, cause) from cause
    try:
        yield RosbagsMessages(place, reader)
    finally:
        reader.close()


def not_a_bag(place: Path, cause: Exception) -> InputError:
    """Return the error of a file or folder that is no bag.

    Args:
        place: Its path.
        cause: Why it cannot be read.

    Returns:
        The error.
    """
    return InputError(f"{place} cannot be read as a bag ({one_line(cause)}); expected {EXPECTED}")


class RosbagsMessages(Messages):
    """Messages of a bag that rosbags has opened.

    Args:
        place: Its path.
        reader: The AnyReader.
    """

    def __init__(self, place: Path, reader: Any) -> None:
        self.place, self.reader = place, reader
        self.span = (reader.start_time, reader.end_time) if reader.message_count else None
        self.types = {one.topic: one.msgtype for one in reader.connections}
        self.counts: dict[str, int] = {}
        for one in reader.connections:
            self.counts[one.topic] = self.counts.get(one.topic, 0) + one.msgcount

    def read(self, topics: Collection[str]) -> Iterator[Logged]:
        """Yield the messages of topics in the order in which they were recorded."""
        wanted = [one for one in self.reader.connections if one.topic in topics]
        if not wanted:
            return
        try:
            for one, time, data in self.reader.messages(wanted):
                yield Logged(one.topic, time, partial(self.reader.deserialize, data, one.msgtype))
        except InputError:
            raise
        except Exception as cause:  # of rosbags, of SQLite
            raise InputError(f"{self.place}: the bag is damaged and cannot be read on ({one_line(cause)})") from cause


class McapMessages(Messages):
    """Messages of MCAP files of one recording; of files that are cut off or damaged, those before the damage.

    Args:
        files: The files, the earliest first.
        notes: Gets a line about each damage.
    """

    def __init__(self, files: Sequence[Path], notes: BagNotes) -> None:
        self.types: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self.span: tuple[int, int] | None = None
        self._notes = notes
        self._schemas: dict[str, tuple[str, str]] = {}
        self._files = {path: self._listed(path) for path in files}

    def read(self, topics: Collection[str]) -> Iterator[Logged]:
        """Yield the messages of topics in the order in which they were recorded."""
        store = self._types_of(topics)
        for path, indexed in self._files.items():
            for topic, message in self._messages(path, indexed, frozenset(topics) & self.types.keys()):
                yield Logged(topic, message.log_time, partial(store.deserialize_cdr, message.data, self.types[topic]))

    def _messages(self, path: Path, indexed: bool, topics: Collection[str]) -> Iterator[tuple[str, Any]]:
        """Yield (topic, message) of one file, up to where it is damaged."""
        if not topics:
            return
        reading = self._by_index if indexed else self._in_order
        with path.open("rb") as stream:
            messages = reading(stream, topics)
            while True:
                try:
                    one = next(messages)
                except StopIteration:
                    return
                except Exception as cause:  # of mcap, its decompressors, or struct
                    self._report(path, cause)
                    return
                yield one

    def _by_index(self, stream: Any, topics: Collection[str]) -> Iterator[tuple[str, Any]]:
        reader = imported("mcap.reader").SeekingReader(stream, validate_crcs=True)
        for schema, channel, message in reader.iter_messages(topics=sorted(topics)):
            if schema is not None and schema.name == self.types[channel.topic]:
                yield channel.topic, message

    def _in_order(self, stream: Any, topics: Collection[str]) -> Iterator[tuple[str, Any]]:
        records, channels = imported("mcap.records"), dict[int, str]()
        for record in imported("mcap.stream_reader").StreamReader(stream).records:
            if isinstance(record, records.Channel):
                channels[record.id] = record.topic
            elif isinstance(record, records.Message) and channels.get(record.channel_id) in topics:
                yield channels[record.channel_id], record

    def _listed(self, path: Path) -> bool:
        """List the topics of a file; return whether it has an index."""
        reader = imported("mcap.reader")
        with path.open("rb") as stream:
            magic = stream.read(len(MAGIC))
            if magic != MAGIC:
                raise not_a_bag(path, ValueError("it is empty" if not magic else "it does not begin as an MCAP file"))
            stream.seek(0)
            try:
                summary = reader.SeekingReader(stream).get_summary()
            except Exception:  # a file that is cut off ends anywhere
                summary = None
            if summary is not None and summary.statistics is not None and summary.channels:
                counts = summary.statistics.channel_message_counts
                for channel in summary.channels.values():
                    self._add(channel, summary.schemas.get(channel.schema_id), counts.get(channel.id, 0))
                if summary.statistics.message_count:
                    self._extend(summary.statistics.message_start_time, summary.statistics.message_end_time)
                return bool(summary.chunk_indexes)  # without an index mcap would sort all messages in memory
        self._scan(path)
        return False

    def _scan(self, path: Path) -> None:
        """List the topics of a file without an index, as far as it can be read."""
        records, channels, schemas = imported("mcap.records"), dict[int, Any](), dict[int, Any]()
        with path.open("rb") as stream:
            try:
                for record in imported("mcap.stream_reader").StreamReader(stream).records:
                    if isinstance(record, records.Schema):
                        schemas[record.id] = record
                    elif isinstance(record, records.Channel):
                        channels[record.id] = record
                        self._add(record, schemas.get(record.schema_id), 0)
                    elif isinstance(record, records.Message):
                        self._add(channels[record.channel_id], None, 1)
                        self._extend(record.log_time, record.log_time)
            except Exception as cause:  # of mcap, its decompressors, or struct
                self._report(path, cause)

    def _add(self, channel: Any, schema: Any, count: int) -> None:
        if schema is not None and channel.message_encoding == "cdr" and schema.encoding in ("ros2msg", "ros2idl"):
            self.types.setdefault(channel.topic, schema.name)
            self._schemas.setdefault(schema.name, (schema.encoding, schema.data.decode()))
        if channel.topic in self.types:
            self.counts[channel.topic] = self.counts.get(channel.topic, 0) + count

    def _extend(self, first: int, last: int) -> None:
        known = self.span or (first, last)
        self.span = (min(first, known[0]), max(last, known[1]))

    def _types_of(self, topics: Collection[str]) -> Any:
        """Return a typestore with the types of topics, as the files define them."""
        typesys = imported("rosbags.typesys")
        store = typesys.get_typestore(typesys.Stores.EMPTY)
        for name in {self.types[topic] for topic in topics if topic in self.types}:
            encoding, text = self._schemas[name]
            try:
                if encoding == "ros2msg":
                    store.register(typesys.get_types_from_msg(text, name))
                else:
                    for part in text.split(IDL_SEPARATOR):
                        store.register(typesys.get_types_from_idl(part.split("\n", 1)[1]) if part.strip() else {})
            except Exception as cause:  # of the parsers of rosbags
                raise InputError(f"the definition of {name} in the bag cannot be read ({one_line(cause)})") from cause
        return store

    def _report(self, path: Path, cause: Exception) -> None:
        """Report once that a file is damaged."""
        self._notes.once(
            f"damage of {path}",
            f"{path} is cut off or damaged ({one_line(cause)}); the messages before that are used. `mcap recover`"
            " writes a bag of them",
        )
