"""Cameras and streams without an end: what is opened, and what happens when they go away."""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av
import pytest

import scenekit as sk
from scenekit.io.video.opening import Origin
from scenekit.model.image_inputs import with_errors
from tests.io.video.making import Made, number_in


class Breaking:
    """A container that fails after some packets, like a device that is pulled out."""

    def __init__(self, data: bytes, packets: int) -> None:
        self._container, self._packets = av.open(io.BytesIO(data)), packets

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def demux(self, stream: Any) -> Iterator[Any]:
        yield from islice(self._container.demux(stream), self._packets)
        raise OSError(19, "No such device")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """10 frames, 40 ms apart."""
    made = Made(stamps=[9000 + 40 * number for number in range(10)], between=0)
    return made.write(tmp_path_factory.mktemp("camera") / "a.ts").read_bytes()


def openers(*steps: Any) -> tuple[Callable[[], Any], list[float]]:
    """An opener that gives one result after the other (the last one again and again), and when it was called."""
    calls: list[float] = []

    def opener() -> Any:
        calls.append(time.monotonic())
        step = steps[min(len(calls), len(steps)) - 1]
        if isinstance(step, Exception):
            raise step
        return step() if callable(step) else av.open(io.BytesIO(step))

    return opener, calls


GONE = av.error.FileNotFoundError(2, "No such file or directory", "/dev/video0")


def test_a_camera_that_goes_away_is_opened_again_and_then_given_up(recording: bytes) -> None:
    opener, calls = openers(recording, GONE, recording, GONE)
    with sk.video(0, opener=opener, retries=3, retry_delay=0.01) as camera:
        assert (camera.source, camera.duration, camera.frame_count) == ("camera 0", None, None)
        frames = []
        with pytest.raises(sk.InputError, match=r"camera 0: the stream broke off .* in 3 tries, 0.01 s apart"):
            while True:
                frames.append(next(camera))
        assert list(camera) == []
    assert len(calls) == 3 + 3 and min(b - a for a, b in pairwise(calls)) >= 0.01
    moments = [frame.moment for frame in frames if frame.moment]
    assert [moment.number for moment in moments] == list(range(20))
    assert [number_in(frame.image) for frame in frames] == [*range(10), *range(10)]
    times = [moment.time for moment in moments]
    assert times[:10] == pytest.approx([0.04 * number for number in range(10)])
    assert times[10] - times[9] >= 0.02 and times[19] - times[10] == pytest.approx(0.36)


def test_a_device_that_fails_while_it_is_read(recording: bytes) -> None:
    opener, _ = openers(lambda: Breaking(recording, 7), GONE)
    frames = []
    stream = sk.video("rtsp://user:secret@host/stream", opener=opener, retries=1, retry_delay=0.0)
    with stream, pytest.raises(sk.InputError, match="rtsp://host/stream: the stream broke off") as caught:
        while True:
            frames.append(next(stream))
    assert 0 < len(frames) <= 7 and "secret" not in str(caught.value)
    assert {frame.source for frame in frames} == {"rtsp://host/stream"}


def test_the_model_goes_through_what_came_before_the_end(recording: bytes) -> None:
    opener, _ = openers(recording, GONE)
    with sk.video(0, opener=opener, retries=0, every=5) as camera:
        results = list(with_errors(camera))
    assert [type(result).__name__ for result in results] == ["VideoFrame", "VideoFrame", "InputError"]


def test_a_stream_that_opens_but_sends_nothing_is_given_up(recording: bytes) -> None:
    opener, calls = openers(recording[:188])
    with pytest.raises(sk.InputError, match="camera 3"):
        sk.video(3, opener=opener, retries=2, retry_delay=0.0)
    assert len(calls) <= 3


def test_a_camera_cannot_be_sought_but_starts_later(recording: bytes) -> None:
    opener, _ = openers(recording, GONE)
    with sk.video(0, opener=opener, retries=0, start=0.2, stop=0.3) as camera:
        assert [frame.moment.number for frame in camera if frame.moment] == [5, 6, 7]
        with pytest.raises(sk.InputError, match="no times to seek to"):
            camera.seek(0.0)


def test_what_is_opened() -> None:
    rtsp = Origin.of("rtsp://a:b@camera/1")
    assert (rtsp.name, rtsp.url, rtsp.seekable, rtsp.endless) == ("rtsp://camera/1", "rtsp://a:b@camera/1", False, True)
    assert rtsp.options == {"rtsp_transport": "tcp"}
    assert Origin.of("udp://0.0.0.0:1234").endless
    film = Origin.of("https://host/film.mp4")
    assert film.seekable and not film.endless


@pytest.mark.skipif(sys.platform != "linux", reason="names devices as Linux does")
def test_cameras_of_linux() -> None:
    camera = Origin.of(2)
    assert (camera.url, camera.format, camera.seekable, camera.endless) == ("/dev/video2", "v4l2", False, True)


def test_a_camera_that_is_not_there_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(sk.InputError, match=r"camera 77: cannot be opened .*is it connected"):
        sk.video(77)
    assert capfd.readouterr() == ("", "")


def test_an_address_that_does_not_answer_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(sk.InputError, match=r"rtsp://127.0.0.1:1/x: cannot be opened .*check the address") as caught:
        sk.video("rtsp://user:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_pipe_is_read_once(tmp_path: Path, recording: bytes) -> None:
    os.mkfifo(tmp_path / "pipe")
    thread = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(recording,))
    thread.start()
    with sk.video(tmp_path / "pipe") as video:
        assert [number_in(frame.image) for frame in video] == list(range(10))
        with pytest.raises(sk.InputError, match="no times to seek to"):
            video.seek(0.0)
    thread.join()
