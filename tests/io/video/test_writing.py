"""Video files of images: times, sizes, colors, and what is left when writing ends early."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

import scenekit as sk
from scenekit.io.video import writing
from tests.io.video.making import number_in, numbered

TIMES = [0.0, 0.04, 0.1, 0.5, 0.501, 0.9, 3.0, 3.02, 3.04, 3.06]


def stored(path: Path) -> list[tuple[float, int]]:
    with sk.video(path) as video:
        return [(round(frame.moment.time, 6), number_in(frame.image)) for frame in video if frame.moment]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v", ".mkv"])
def test_images_are_shown_at_their_times(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"uneven{suffix}"
    with sk.VideoWriter(path, rate=10.0) as writer:
        for number, time in enumerate(TIMES):
            writer.write(numbered(number), 1000 + time)
        assert writer.count == 10 and not path.exists()
    assert stored(path) == [(time, number) for number, time in enumerate(TIMES)]
    with sk.video(path) as video:
        assert video.duration == pytest.approx(3.16, abs=0.002)  # the last one for a tenth of a second
    assert os.listdir(tmp_path) == [path.name]


def test_the_file_is_h264_that_players_read_from_its_start(tmp_path: Path) -> None:
    with sk.VideoWriter(tmp_path / "a.mp4") as writer:
        writer.write(numbered(0))
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt, context.colorspace) == ("h264", "yuv420p", writing.BT709)


def test_without_h264_it_is_mpeg4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "ENCODERS", ("no_encoder", "mpeg4"))
    with sk.VideoWriter(tmp_path / "a.mp4") as writer:
        for number, time in enumerate(TIMES):
            writer.write(numbered(number), time)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
    assert stored(tmp_path / "a.mp4") == [(time, number) for number, time in enumerate(TIMES)]


def test_without_an_encoder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "ENCODERS", ("no_encoder",))
    with pytest.raises(sk.InputError, match="none of the encoders"), sk.VideoWriter(tmp_path / "a.mp4") as writer:
        writer.write(numbered(0))
        writer.write(numbered(1))
    assert os.listdir(tmp_path) == []


def test_without_times_images_follow_at_the_rate(tmp_path: Path) -> None:
    with sk.VideoWriter(tmp_path / "a.mp4", rate=20.0) as writer:
        for number in range(4):
            writer.write(numbered(number))
    assert stored(tmp_path / "a.mp4") == [(0, 0), (0.05, 1), (0.1, 2), (0.15, 3)]


@pytest.mark.parametrize(
    "as_source", [np.asarray, Image.fromarray, lambda image: torch.from_numpy(image).permute(2, 0, 1)]
)
def test_odd_sizes_are_padded_with_the_last_pixels(tmp_path: Path, as_source: Any) -> None:
    image = np.full((33, 41, 3), 60, np.uint8)
    image[:, -4:] = (200, 30, 30)
    with sk.VideoWriter(tmp_path / "odd.mp4") as writer:
        writer.write(as_source(image))
    pixels = next(sk.video(tmp_path / "odd.mp4")).image
    assert pixels.shape == (3, 34, 42)
    assert np.abs(pixels[:, 33, 41].numpy().astype(int) - (200, 30, 30)).max() < 12


def test_images_of_another_size_are_scaled(tmp_path: Path) -> None:
    with sk.VideoWriter(tmp_path / "a.mp4") as writer:
        writer.write(numbered(5))
        writer.write(numbered(6, (64, 96)))
    assert stored(tmp_path / "a.mp4") == [(0, 5), (0.04, 6)]


@pytest.mark.parametrize("times", [(0.0, 0.0), (1.0, 0.5), (0.0, 1e-6), (0.0, float("nan"))])
def test_times_must_increase(tmp_path: Path, times: tuple[float, float]) -> None:
    with pytest.raises(sk.InputError, match="time"), sk.VideoWriter(tmp_path / "a.mp4") as writer:
        for time in times:
            writer.write(numbered(0), time)
    assert len(stored(tmp_path / "a.mp4")) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_what_was_written_before_an_error_can_be_played(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "a.mp4").write_text("another file")
    with pytest.raises(error), sk.VideoWriter(tmp_path / "a.mp4") as writer:
        for number in range(7):
            writer.write(numbered(number))
        raise error
    assert [number for _, number in stored(tmp_path / "a.mp4")] == list(range(7))


def test_without_an_image_the_file_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("another file")
    with pytest.raises(ZeroDivisionError), sk.VideoWriter(tmp_path / "a.mp4"):
        1 / 0  # noqa: B018
    with sk.VideoWriter(tmp_path / "b.mp4"):
        pass
    assert os.listdir(tmp_path) == ["a.mp4"] and (tmp_path / "a.mp4").read_text() == "another file"


def test_a_writer_that_is_dropped_completes_its_file(tmp_path: Path) -> None:
    writer = sk.VideoWriter(tmp_path / "a.mp4")
    writer.write(numbered(3))
    del writer
    assert stored(tmp_path / "a.mp4") == [(0, 3)]


def test_a_closed_writer_takes_no_image(tmp_path: Path) -> None:
    with sk.VideoWriter(tmp_path / "a.mp4") as writer:
        writer.write(numbered(0))
    writer.close()
    with pytest.raises(sk.InputError, match="closed"):
        writer.write(numbered(1))


@pytest.mark.parametrize(
    "name, reason",
    [("no/folder/a.mp4", "No such file"), ("a.gif", "expected the name of a video file"), ("", "it is a folder")],
)
def test_bad_targets_are_refused_at_once(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(sk.InputError, match=reason):
        sk.VideoWriter(tmp_path / name)


def test_a_rate_is_positive(tmp_path: Path) -> None:
    with pytest.raises(sk.InputError, match="images a second"):
        sk.VideoWriter(tmp_path / "a.mp4", rate=0.0)


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="limits the size of files as Unix does")
def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    noise = np.random.default_rng(0).integers(0, 256, (20, 256, 256, 3), dtype=np.uint8)
    try:
        with pytest.raises(sk.InputError, match=r"cannot write .*a.mp4"), sk.VideoWriter(tmp_path / "a.mp4") as writer:
            for image in noise:
                writer.write(image)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="sets a timer as Unix does")
@pytest.mark.parametrize("seconds", [0.05, 0.053, 0.057, 0.062, 0.071])
def test_ctrl_c_at_any_time_leaves_a_file_that_can_be_played(tmp_path: Path, seconds: float) -> None:
    """Also while an image is being encoded, which takes most of the time here."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), sk.VideoWriter(tmp_path / "a.mp4") as writer:
            writer.write(numbered(0, (96, 160)))
            signal.setitimer(signal.ITIMER_REAL, seconds)
            for number in range(1, 10**6):
                writer.write(numbered(number % 256, (96, 160)))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    numbers = [number for _, number in stored(tmp_path / "a.mp4")]
    assert len(numbers) in (writer.count, writer.count + 1) and numbers == [n % 256 for n in range(len(numbers))]
    assert os.listdir(tmp_path) == ["a.mp4"]
