"""Clips as a data set: what `sk.clips` and `sk.dataset` give, and what is kept on disk."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

import scenekit as sk
from scenekit.keys import MESHES
from scenekit.testing import check_dataset
from scenekit_datasets.synthetic.clips import cache
from scenekit_datasets.synthetic.clips.dataset import ClipDataset

SMALL = {"size": [48, 64], "frames": 6, "rate": 2.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def data(folder):
    return ClipDataset("val", 2, cache=folder, **SMALL)


def test_a_clip_carries_images_with_pose_and_depth(data):
    clip, made = data[1], data.synthetic(1)
    assert isinstance(data, sk.ClipSet) and isinstance(clip, sk.Clip)
    assert len(clip) == len(clip.scenes) == 6 and clip.name == "val/000001"
    for row, (frame, scene, truth) in enumerate(zip(clip.frames, clip.scenes, made.frames, strict=True)):
        assert frame.image.shape == (48, 64, 3) and (frame.image == truth.scene.image).all()
        assert all((one.moment.number, one.moment.time) == (row, row / 2.0) for one in (frame, scene))
        assert frame.moment.pose.dtype == torch.float64 and np.array_equal(frame.moment.pose, truth.pose)
        assert frame.inputs["depth"].dtype == torch.float32
        assert torch.equal(frame.inputs["depth"].isnan(), torch.from_numpy(truth.scene.depth == 0))
        assert torch.equal(frame.camera.matrix, scene.camera.matrix)
        assert scene.objects.ids.tolist() == truth.ids.tolist()
    assert [frame.moment.number for frame in clip.frames[1:3]] == [1, 2]


def test_events_are_those_of_the_generator(data):
    clip, made = data[0], data.synthetic(0)
    assert clip.events.captions.texts == tuple(event.captions for event in made.events)
    assert np.allclose(clip.events.spans, [(event.start, event.end) for event in made.events])
    assert clip.events.scores is None and clip.events.spans.min() >= 0 and clip.events.spans.max() <= 3.0


def test_the_frames_are_samples(data, folder):
    samples = sk.dataset("synthetic_clips", split="val", length=2, cache=str(folder), **SMALL)
    assert len(samples) == len(data.samples) == 12
    sample, clip = samples[8], data[1]
    assert sample.id == 8 and torch.equal(sample.image, torch.from_numpy(clip.frames[2].image).permute(2, 0, 1))
    assert sample.scene.to_json() == clip.scenes[2].to_json()
    with pytest.raises(IndexError):
        samples[12]
    with pytest.raises(IndexError):
        data[2]


def test_the_contract_of_data_sets_holds(folder):
    spec = sk.registry().get("dataset", "synthetic_clips")
    report = check_dataset(spec, split="val", options={"length": 2, "cache": str(folder), **SMALL})
    assert report.ok, str(report)


def test_clips_are_found_by_name(folder):
    clips = sk.clips("synthetic_clips", split="val", length=2, cache=str(folder), **SMALL)
    assert len(clips) == 2 and len(clips[0].events) >= 2
    with pytest.raises(sk.InputError, match=r"single images, no clips; open it with sk.dataset\('synthetic'\)"):
        sk.clips("synthetic", split="val", cache=False)


def test_a_data_set_of_clips_reaches_worker_processes(data):
    again = pickle.loads(pickle.dumps(data))
    assert again[0].scenes[3].to_json() == data[0].scenes[3].to_json()


def test_keys_are_chosen(folder):
    clips = ClipDataset("val", 1, cache=False, keys=["meshes", "boxes3d"], **SMALL)
    scene = clips[0].scenes[0]
    assert {key.name for key in scene.values} == {"meshes", "boxes3d"}
    assert len(scene[MESHES]) == len(scene.objects)


def test_what_is_kept_is_what_was_made(data, folder):
    number = data.stored(0).number
    made, kept = cache._unstored(number), cache.opened(folder, number)
    assert made.events == kept.events and made.changes == kept.changes
    one, two = made.frame(4), kept.frame(4)
    assert (one.pose == two.pose).all() and one.time == two.time and (one.ids == two.ids).all()
    assert (one.scene.image == two.scene.image).all() and (one.scene.depth == two.scene.depth).all()
    assert (one.scene.box_rotations == two.scene.box_rotations).all() and one.scene.phrases == two.scene.phrases


def test_the_second_time_comes_from_disk(data, monkeypatch):
    data[0]
    monkeypatch.setattr(cache.ClipNumber, "generate", lambda self: pytest.fail("generated again"))
    monkeypatch.setattr(cache, "render_frame", lambda *_: pytest.fail("rendered again"))
    assert len(data[0].scenes[0].objects)


@pytest.mark.parametrize("keep", [0, 200, 20_000])
def test_a_damaged_file_is_made_anew(tmp_path, data, folder, keep):
    number = data.stored(0).number
    path, whole = number.path(tmp_path), number.path(folder).read_bytes()
    path.parent.mkdir(parents=True)
    path.write_bytes(whole[:keep])
    assert (cache.opened(tmp_path, number).frame(1).ids == data.stored(0).frame(1).ids).all()
    assert len(path.read_bytes()) > 20_000
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_damaged_frame_is_rendered_again(tmp_path, data, folder):
    """The list of events is intact, so that the damage is noticed when the frame is read."""
    number = data.stored(0).number
    path, whole = number.path(tmp_path), bytearray(number.path(folder).read_bytes())
    path.parent.mkdir(parents=True)
    start = whole.index(b"0003/image.png") + 60
    whole[start : start + 40] = bytes(40)
    path.write_bytes(whole)
    stored = cache.opened(tmp_path, number)
    assert (stored.frame(3).scene.image == data.stored(0).frame(3).scene.image).all()
    assert not path.exists()


def test_a_full_disk_stops_nothing(tmp_path, data, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "save", full)
    number = replace(data.stored(0).number, seed=999)
    monkeypatch.setattr(cache.ClipNumber, "generate", lambda self: data.synthetic(0))
    assert len(cache.opened(tmp_path, number).frame(2).ids)
    assert "No space left on device" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "vall"}, "did you mean 'val'"),
        ({"length": 0}, "1 to 100000"),
        ({"split": "val", "length": 51}, "1 to 50"),
        ({"split": "val", "seed": 3}, "fixed for val"),
        ({"frames": 1}, "2 to 1000 frames"),
        ({"frames": 10, "rate": 10.0}, "2.5 to 60 seconds"),
        ({"size": [10, 10]}, "from 32 to 4096"),
        ({"keys": ["mask"]}, "did you mean 'masks'"),
        ({"visit": 2}, "visit must be 0 or 1"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(sk.InputError, match=message):
        ClipDataset(**{"cache": False, **options})


def test_a_later_visit_says_what_has_changed(tmp_path):
    options = {"split": "val", "length": 1, "still": True, **SMALL}
    first, later = (ClipDataset(cache=tmp_path, visit=visit, **options) for visit in (0, 1))
    assert first.changes(0) == () and later.changes(0)
    assert later.stored(0).changes == later.changes(0), "and they survive the file"
    assert first[0].frames[0].moment.pose.tolist() != later[0].frames[0].moment.pose.tolist()


def test_splits_do_not_share_clips():
    numbers = {ClipDataset(split, 1, cache=False, **SMALL).seed for split in ("train", "val", "test")}
    assert len(numbers) == 3
