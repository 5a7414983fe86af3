"""Opening what a video is read from: a file, a camera of this machine, or a stream of the network."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

from scenekit.errors import InputError, one_line, repr_of
from scenekit.io.files import path_named

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

ENDLESS = ("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "udp", "tcp")
"""Schemes of URLs whose streams have no end: where one breaks off, it is opened again."""

TIMEOUT = 10.0
"""Seconds within which a stream of the network must open, and send something."""

CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}")}
"""The format of FFmpeg and the name of a camera, by platform."""


@dataclass(frozen=True)
class Origin:
    """What a video is read from."""

    name: str
    """Name in messages, and `path` of the scenes; without the password of a URL."""
    url: str
    """What FFmpeg opens."""
    format: str | None = None
    """Its format for FFmpeg; None where the content shows it."""
    seekable: bool = True
    """Whether it can be read again, from any time."""
    endless: bool = False
    """Whether it has no end: where it breaks off, it is opened again."""
    options: dict[str, str] = field(default_factory=dict)
    """Further options of FFmpeg."""

    @classmethod
    def of(cls, source: object) -> Origin:
        """Return what a user names.

        Args:
            source: A path, the index of a camera, or a URL.

        Returns:
            The origin; whether it is there shows when it is opened.

        Raises:
            InputError: It is none of these, or no file can have the name.
        """
        if isinstance(source, int) and not isinstance(source, bool):
            return camera_at(source)
        if not isinstance(source, str | os.PathLike):
            kind = type(source).__name__
            raise InputError(f"a video is a path, the index of a camera or a URL, got {kind} {repr_of(source)}")
        text = os.fspath(source)
        if isinstance(source, str) and (scheme := re.match(r"([a-z][a-z0-9+.-]+)://", text, re.IGNORECASE)):
            return stream_at(text, scheme[1].lower())
        path = path_named(text)
        check_file(path if text else None, text)
        return cls(text, f"file:{path}", seekable=path.is_file())


def camera_at(index: int) -> Origin:
    """Return a camera of this machine.

    Args:
        index: Its number, from 0.

    Returns:
        The origin.

    Raises:
        InputError: The number is negative, or cameras of this platform cannot be opened by number.
    """
    if index < 0:
        raise InputError(f"cameras are numbered from 0, got {index}")
    if sys.platform not in CAMERAS:
        raise InputError(f"cameras cannot be opened by number on {sys.platform}; stream from it, and name the URL")
    format, name = CAMERAS[sys.platform]
    return Origin(f"camera {index}", name.format(index), format, seekable=False, endless=True)


def stream_at(url: str, scheme: str) -> Origin:
    """Return a stream of the network; one of a camera comes over TCP, which loses nothing on the way.

    Args:
        url: The URL.
        scheme: Its scheme, in small letters.

    Returns:
        The origin.
    """
    options = {"rtsp_transport": "tcp"} if scheme.startswith("rtsp") else {}
    public = re.sub(r"(?<=://)[^/@]*@", "", url)
    endless = scheme in ENDLESS
    return Origin(public, url, seekable=not endless, endless=endless, options=options)


def check_file(path: os.PathLike[str] | None, name: str) -> None:
    """Check that a file is there.

    Args:
        path: The file; None for an empty name.
        name: What the user has named.

    Raises:
        InputError: There is no such file, it is a folder, it is empty, or it may not be read.
    """
    if path is None:
        raise InputError("the path of the video is empty; give that of a file")
    if os.path.isdir(path):
        raise InputError(f"{name}: expected a video, but this is a folder; give the files in it")
    if not os.path.exists(path):
        raise InputError(f"{name}: no such file")
    if not os.access(path, os.R_OK):
        raise InputError(f"{name}: no permission to read this file")
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        raise InputError(f"{name}: the file is empty")


def pyav() -> ModuleType:
    """Import PyAV, which brings FFmpeg.

    Returns:
        The module `av`.

    Raises:
        InputError: It is not installed.
    """
    try:
        import av
    except ImportError as cause:
        raise InputError(f"video needs PyAV ({one_line(cause)}): pip install 'scenekit[video]'") from cause
    return av


def opened(origin: Origin, opener: Callable[[], Any] | None = None) -> tuple[InputContainer, VideoStream]:
    """Open a video and find its stream of images.

    Args:
        origin: What it is read from.
        opener: Opens the container in place of `av.open`.

    Returns:
        The container, which is to be closed, and the stream.

    Raises:
        InputError: It cannot be opened, is no video, has no images, or no decoder for them is installed.
    """
    av = pyav()
    try:
        container = opener() if opener is not None else _open(av, origin)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{origin.name}: {reason_of(error, origin)}") from error
    try:
        return container, stream_of(container, origin.name)
    except BaseException:
        container.close()
        raise


def _open(av: ModuleType, origin: Origin) -> InputContainer:
    timeout = (TIMEOUT, TIMEOUT) if "://" in origin.url else None
    container: InputContainer = av.open(
        origin.url, format=origin.format, options=origin.options, timeout=timeout, metadata_errors="replace"
    )
    return container


def reason_of(error: BaseException, origin: Origin) -> str:
    """Return why a video cannot be opened, in words.

    Args:
        error: What PyAV raised.
        origin: What was to be opened.

    Returns:
        The reason, and what to do.
    """
    if origin.url.startswith("file:") and type(error).__name__ == "InvalidDataError":
        return "this file is no video that FFmpeg knows, or its beginning or end is cut off"
    text = getattr(error, "strerror", None) or one_line(error)
    if origin.url.startswith("file:"):
        return f"cannot be read ({text})"
    hint = "is it connected, and free?" if origin.format else "check the address, and that it can be reached"
    return f"cannot be opened ({text}); {hint}"


def stream_of(container: InputContainer, name: str) -> VideoStream:
    """Return the images of an open container, to be decoded by several threads.

    Args:
        container: The container.
        name: Its name in messages.

    Returns:
        The first stream of images that is no cover of an album.

    Raises:
        InputError: There is none, or no decoder for it is installed.
    """
    streams = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not streams:
        kinds = [kind for kind in ("audio", "subtitle") if any(stream.type == kind for stream in container.streams)]
        only = f", only {' and '.join(kinds)}" if kinds else ""
        raise InputError(f"{name}: there are no images in it{only}")
    stream = streams[0]
    if stream.codec_context is None:
        raise InputError(
            f"{name}: the FFmpeg of PyAV has no decoder for these images; convert the file, e.g. to H.264 in .mp4"
        )
    stream.thread_type = "AUTO"
    return stream


def _is_cover(stream: VideoStream) -> bool:
    return "attached_pic" in str(getattr(stream, "disposition", "")).lower()
