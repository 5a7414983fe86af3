"""Frames of video files: what they show, when, and under which number."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import scenekit as sk
from scenekit.io.video.reading import Video
from tests.io.video.making import HEIGHT, WIDTH, Made, number_in, numbered, spoiled

UNEVEN = [0, 40, 55, 300, 301, 700, 720, 1500, 1501, 1600, 2500, 2501]


def read(path: object, **options: Any) -> list[tuple[float, int, int]]:
    """(time, number, what the image shows) of all frames."""
    with sk.video(path, **options) as video:
        return [facts(frame) for frame in video]


def facts(frame: sk.VideoFrame) -> tuple[float, int, int]:
    assert frame.moment is not None
    return round(frame.moment.time, 6), frame.moment.number, number_in(frame.image)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 frames with B-frames, 40 ms apart, a key frame every 10."""
    return Made().write(tmp_path_factory.mktemp("clip") / "clip.mp4")


def test_frames_come_with_time_number_and_source(clip: Path) -> None:
    with sk.video(clip) as video:
        assert (video.size, video.rate, video.frame_count, video.duration) == ((HEIGHT, WIDTH), 25.0, 30, 1.2)
        frames = list(video)
        assert (video.damaged, video.jumps, video.offset, video.position) == (0, 0, 0.0, 1.16)
    assert list(map(facts, frames)) == [(round(0.04 * number, 6), number, number) for number in range(30)]
    assert {frame.source for frame in frames} == {str(clip)}
    assert frames[0].image.dtype.is_floating_point is False and frames[0].image.shape == (3, HEIGHT, WIDTH)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_variable_rate_is_kept(tmp_path: Path, suffix: str) -> None:
    path = Made(stamps=UNEVEN).write(tmp_path / f"uneven{suffix}")
    assert read(path) == [(stamp / 1000, number, number) for number, stamp in enumerate(UNEVEN)]


def test_the_first_frame_is_at_zero(tmp_path: Path) -> None:
    path = Made(stamps=[5000 + 40 * number for number in range(5)]).write(tmp_path / "late.mkv")
    assert [time for time, *_ in read(path)] == [0, 0.04, 0.08, 0.12, 0.16]
    with sk.video(path) as video:
        assert video.offset == 5.0


def test_start_stop_and_every_choose_frames(clip: Path) -> None:
    chosen = read(clip, start=0.41, stop=0.9, every=4)
    assert chosen == [(0.44, 11, 11), (0.6, 15, 15), (0.76, 19, 19)]
    assert read(clip, start=0.44, stop=0.441) == [(0.44, 11, 11)]
    assert read(clip, start=50.0) == []


@pytest.mark.parametrize(
    "made, name",
    [
        (Made(), "groups.mp4"),
        (Made(stamps=UNEVEN, key_frames=4), "uneven.mkv"),
        (Made(key_frames=250), "one_key_frame.mp4"),
        (Made(key_frames=250, between=0), "one_key_frame.mkv"),
        (Made(options={"x264-params": "open-gop=1:b-pyramid=normal"}, between=3), "open.mp4"),
        (Made(options={"x264-params": "open-gop=1:b-pyramid=normal"}, between=3), "open.ts"),
        (Made(unit=Fraction(1, 25), stamps=range(30)), "order.avi"),
        (Made(codec="mpeg4"), "empty_chunks.avi"),
        (Made(codec="mjpeg", format="yuvj420p", between=0), "intra.mov"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_seek_is_exact(tmp_path: Path, made: Made, name: str) -> None:
    """To each frame, before and after it, back and forth: as in reading from the start."""
    path = made.write(tmp_path / name)
    whole = read(path)
    assert [shown for *_, shown in whole] == list(range(len(made.stamps)))
    with sk.video(path) as video:
        for time in np.random.default_rng(0).permutation([t + d for t, *_ in whole for d in (-1e-4, 0, 1e-4)]):
            video.seek(float(time))
            expected = next((frame for frame in whole if frame[0] >= time - 1e-7), None)
            frame = next(video, None)
            assert (frame and facts(frame)) == expected
        assert (video.damaged, video.jumps) == (0, 0)


def test_after_a_seek_frames_go_on_and_end(clip: Path) -> None:
    with sk.video(clip, every=3) as video:
        next(video)
        video.seek(1.0)
        assert [facts(frame)[1] for frame in video] == [25, 28]
        video.seek(7.0)
        assert list(video) == [] and video.position == 7
        video.seek(-1.0)
        assert facts(next(video)) == (0, 0, 0)


@pytest.mark.parametrize(
    "matrix, expected",
    [
        ((1, 0, 0, 1), lambda image: image),
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),  # a quarter turn clockwise, as phones have it
        ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
        ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
        ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
    ],
    ids=["none", "90", "180", "270", "mirrored", "upside-down", "transposed"],
)
def test_images_are_upright(tmp_path: Path, matrix: tuple[int, ...], expected: Any) -> None:
    a, b, c, d = (65536 * value for value in matrix)
    shift = [65536 * max(-matrix[0] * WIDTH - matrix[2] * HEIGHT, 0), 65536 * max(-matrix[3] * HEIGHT, 0)]
    made = Made("png", "rgb24", stamps=[0], between=0, matrix=[a, b, 0, c, d, 0, *shift, 1 << 30])
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    path = made.write(tmp_path / "turned.mov", [image])
    with sk.video(path) as video:
        upright = expected(image)
        assert video.size == upright.shape[:2]
        assert np.array_equal(next(video).image.permute(1, 2, 0).numpy(), upright)


@pytest.mark.parametrize(
    "format", ["yuv420p10le", "yuv444p12le", "gray", "gray16le", "gbrp10le", "yuv410p", "yuva420p"]
)
def test_pixel_formats_are_converted(tmp_path: Path, format: str) -> None:
    assert read(Made("ffv1", format, stamps=[0, 40], between=0).write(tmp_path / "a.mkv")) == [(0, 0, 0), (0.04, 1, 1)]


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    image = np.full((HEIGHT, WIDTH, 4), (200, 100, 0, 0), np.uint8)
    image[:, WIDTH // 2 :, 3], image[: HEIGHT // 2, :, 3] = 255, 51
    path = Made("png", "rgba", stamps=[0], between=0).write(tmp_path / "alpha.mov", [image])
    pixels = next(sk.video(path)).image
    assert pixels[:, -1, 0].tolist() == [255] * 3 and pixels[:, -1, -1].tolist() == [200, 100, 0]
    assert pixels[:, 0, 0].tolist() == [244, 224, 204]  # a fifth of the color over white


@pytest.mark.parametrize("aspect, width", [(Fraction(4, 3), 64), (Fraction(1, 2), 24), (None, 48)])
def test_pixels_are_square(tmp_path: Path, aspect: Fraction | None, width: int) -> None:
    path = Made(aspect=aspect, stamps=[0]).write(tmp_path / "wide.mp4")
    with sk.video(path) as video:
        assert video.size == (HEIGHT, width) == tuple(next(video).image.shape[1:])


def test_odd_sizes_are_read(tmp_path: Path) -> None:
    path = Made("ffv1", "yuv444p", size=(33, 41), stamps=[0], between=0).write(tmp_path / "odd.mkv")
    with sk.video(path) as video:
        assert video.size == (33, 41) == tuple(next(video).image.shape[1:])


def test_the_colors_of_high_definition(tmp_path: Path) -> None:
    """A file that names BT.709 is not read as BT.601, in which this green is another one."""
    image = np.full((64, 64, 3), (30, 200, 60), np.uint8)
    with sk.VideoWriter(tmp_path / "green.mp4") as writer:
        writer.write(image)
    pixels = next(sk.video(tmp_path / "green.mp4")).image[:, 20, 20]
    assert np.abs(pixels.numpy().astype(int) - (30, 200, 60)).max() <= 3


@pytest.mark.parametrize("first, count", [(0, 1), (4, 1), (12, 3), (15, 6), (28, 2)])
def test_damaged_frames_are_skipped_and_counted(clip: Path, tmp_path: Path, first: int, count: int) -> None:
    """Also those that are predicted from a damaged one, up to the next key frame; the others keep their numbers."""
    path = spoiled(clip, first, count, tmp_path / "damaged.mp4")
    with sk.video(path) as video:
        frames = [facts(frame) for frame in video]
        assert video.damaged == 30 - len(frames) >= count
    assert frames == [(round(0.04 * number, 6), number, number) for _, number, _ in frames]
    assert len(frames) >= 19


def test_a_seek_into_damage_gives_the_next_frame(clip: Path, tmp_path: Path) -> None:
    path = spoiled(clip, 4, 1, tmp_path / "damaged.mp4")
    whole = read(path)
    with sk.video(path) as video:
        for time in (0.0, 0.08, 0.16, 0.3, 0.48, 0.52):
            video.seek(time)
            assert facts(next(video)) == next(frame for frame in whole if frame[0] >= time)


def test_doubt_ends_after_some_seconds(tmp_path: Path) -> None:
    stamps = [500 * number for number in range(24)]
    whole = Made(key_frames=250, between=0, stamps=stamps).write(tmp_path / "whole.mp4")
    with sk.video(spoiled(whole, 5, 1, tmp_path / "damaged.mp4")) as video:
        numbers = [facts(frame)[1] for frame in video]
        assert numbers == [*range(5), *range(15, 24)] and video.damaged == 10


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_file_that_is_cut_off_gives_what_is_there(tmp_path: Path, suffix: str) -> None:
    options = {"movflags": "+faststart"}
    path = tmp_path / f"whole{suffix}"
    with av.open(str(path), "w", options=options if suffix == ".mp4" else {}) as container:
        stream = container.add_stream("mjpeg" if suffix != ".ts" else "mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p" if suffix != ".ts" else "yuv420p"
        for number in range(40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(number), "rgb24")))
        container.mux(stream.encode(None))
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with sk.video(cut) as video:
        frames = [facts(frame) for frame in video]
        assert 10 < len(frames) < 30 and [shown for *_, shown in frames[:10]] == list(range(10))
        assert video.damaged == (40 - len(frames) if suffix == ".mp4" else 0)  # only .mp4 says how many there should be


def test_frames_before_the_cut_of_an_editor_are_not_missing(clip: Path, tmp_path: Path) -> None:
    """Phones and editors trim a video by a note in the file; here the first four or five frames are not shown."""
    path = tmp_path / "trimmed.mp4"
    options = {"avoid_negative_ts": "disabled", "use_editlist": "1"}
    with av.open(str(clip)) as whole, av.open(str(path), "w", options=options) as container:
        stream = container.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.dts is not None and packet.pts is not None and packet.time_base is not None:
                cut = round(Fraction(1, 5) / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - cut, packet.dts - cut, stream
                container.mux(packet)
    with sk.video(path) as video:
        frames = [facts(frame) for frame in video]
        first = frames[0][2]
        assert first in (4, 5) and [shown for *_, shown in frames] == list(range(first, 30))
        assert [number for _, number, _ in frames] == list(range(30 - first)) and frames[0][0] == 0
        assert (video.damaged, video.jumps) == (0, 0)
        video.seek(frames[7][0])
        assert facts(next(video)) == frames[7]


def test_a_clock_that_jumps_back_goes_on(tmp_path: Path) -> None:
    """Two recordings, one appended to the other: 30 frames of 40 ms each, twice."""
    part = Made().write(tmp_path / "part.ts").read_bytes()
    (tmp_path / "both.ts").write_bytes(2 * part)
    with sk.video(tmp_path / "both.ts") as video:
        frames = [facts(frame) for frame in video]
        assert video.jumps == 1 and video.damaged == 0
        assert frames == [(round(0.04 * n, 6), n, n % 30) for n in range(60)]
        video.seek(1.21)
        assert facts(next(video)) == (1.24, 31, 1)


def test_a_frame_that_repeats_a_time_is_skipped(tmp_path: Path) -> None:
    made = Made("mjpeg", "yuvj420p", between=0, stamps=[0, 40, 80, 81, 120]).write(tmp_path / "made.mkv")
    path = tmp_path / "repeat.mkv"
    with av.open(str(made)) as whole, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.dts is not None:
                packet.pts = packet.dts = 80 if packet.pts == 81 else packet.pts
                packet.stream = stream
                container.mux(packet)
    with sk.video(path) as video:
        assert [facts(frame) for frame in video] == [(0, 0, 0), (0.04, 1, 1), (0.08, 2, 2), (0.12, 4, 4)]
        assert video.jumps == 1
        video.seek(0.09)
        assert facts(next(video)) == (0.12, 4, 4)


def open_files() -> int:
    return sum(
        os.path.realpath(f"/proc/self/fd/{name}").endswith((".mp4", ".mkv")) for name in os.listdir("/proc/self/fd")
    )


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="lists open files as Linux does")
def test_a_video_is_closed(clip: Path) -> None:
    with sk.video(clip) as video:
        next(video)
        assert open_files() == 1
    assert open_files() == 0 and list(video) == []
    assert (video.rate, video.duration, video.frame_count) == (25.0, 1.2, 30)
    video.close()
    with pytest.raises(sk.InputError, match="closed"):
        video.seek(0.0)
    dropped = sk.video(clip)
    next(dropped)
    del dropped
    gc.collect()
    assert open_files() == 0
    with pytest.raises(ZeroDivisionError), sk.video(clip) as video:
        1 / 0  # noqa: B018
    assert open_files() == 0


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads its memory as Linux has it")
def test_memory_is_bounded(tmp_path: Path) -> None:
    """100 frames of 2.6 MiB when decoded, which together are 264 MiB."""
    made = Made("mpeg4", size=(720, 1280), stamps=[40 * n for n in range(100)], key_frames=250, between=0)
    made.write(tmp_path / "large.mp4", [numbered(0, (720, 1280))] * 100)
    with sk.video(tmp_path / "large.mp4") as video:
        for _ in range(5):
            next(video)
        before = resident()
        assert sum(1 for _ in video) == 95
        assert resident() - before < 50 * 2**20


@pytest.fixture
def bad(tmp_path: Path, clip: Path) -> Iterator[Path]:
    """A folder of files that are no videos."""
    (tmp_path / "text.mp4").write_text("no video\n" * 99)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "cut.mp4").write_bytes(clip.read_bytes()[:1500])
    (tmp_path / "codec.mp4").write_bytes(clip.read_bytes().replace(b"avc1", b"zzz9"))
    spoiled(clip, 0, 30, tmp_path / "spoiled.mp4")
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.sample_rate = 16000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    yield tmp_path


@pytest.mark.parametrize(
    "name, reason",
    [
        ("text.mp4", "no video that FFmpeg knows"),
        ("empty.mp4", "is empty"),
        ("folder.mp4", "this is a folder"),
        ("missing.mp4", "no such file"),
        ("cut.mp4", "cut off|no images"),
        ("codec.mp4", "no decoder"),
        ("spoiled.mp4", "no frame that can be decoded"),
        ("sound.mp4", "no images in it, only audio"),
    ],
)
def test_bad_files_are_named(bad: Path, name: str, reason: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(sk.InputError, match=reason) as caught:
        sk.video(bad / name)
    assert str(caught.value).startswith(str(bad / name)) and "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_damage_makes_no_noise(clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert read(spoiled(clip, 12, 3, tmp_path / "damaged.mp4"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"every": 0}, "every: expected a whole number from 1"),
        ({"start": -1.0}, "start: expected seconds from 0"),
        ({"stop": float("nan")}, "stop: expected seconds from 0"),
        ({"start": 2.0, "stop": 2.0}, "expected more than start"),
        ({"retries": -1}, "expected numbers from 0"),
    ],
)
def test_options_out_of_range_are_refused(clip: Path, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(sk.InputError, match=reason):
        sk.video(clip, **options)


@pytest.mark.parametrize("source, reason", [("", "empty"), (-1, "from 0"), (True, "bool")])
def test_sources_of_other_types_are_refused(source: Any, reason: str) -> None:
    with pytest.raises(sk.InputError, match=reason):
        sk.video(source)


def test_without_pyav_the_error_says_what_to_install(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(sk.InputError, match=r"pip install 'scenekit\[video\]'"):
        sk.video(clip)


def test_a_seek_needs_a_finite_time(clip: Path) -> None:
    with sk.video(clip) as video, pytest.raises(sk.InputError, match="a time in seconds"):
        video.seek(float("nan"))


def test_the_model_takes_a_video(clip: Path) -> None:
    assert isinstance(sk.video(clip), Video)


@pytest.mark.parametrize(
    "name, size, count", [("intel_car_clip", (432, 768), 101), ("intel_person_clip", (432, 768), 81)]
)
def test_real_clips(samples: Path, name: str, size: tuple[int, int], count: int) -> None:
    with sk.video(samples / "video" / f"{name}.mp4", every=10) as video:
        assert (video.size, video.frame_count) == (size, count)
        moments = [frame.moment for frame in video if frame.moment]
    assert [moment.number for moment in moments] == list(range(0, count, 10))
    assert moments[-1].time == pytest.approx(8.0)
