"""Clips: things move as physics and geometry say, ids last, poses are exact, and sentences say what happens."""

import hashlib
import math
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pytest

from scenekit.structures.sides import exchanged
from scenekit_datasets.synthetic.clips import events as clip_events
from scenekit_datasets.synthetic.clips import troupes
from scenekit_datasets.synthetic.clips.camera import CameraPath, pose_of, random_path
from scenekit_datasets.synthetic.clips.clip import LEAST, SyntheticFrame, render_frame
from scenekit_datasets.synthetic.clips.events import Event, events, sampled
from scenekit_datasets.synthetic.clips.people import Stance, random_figure, sitting, walking
from scenekit_datasets.synthetic.clips.plan import Planned, plan_clip, revisited
from scenekit_datasets.synthetic.clips.planner import Action, Plan
from scenekit_datasets.synthetic.clips.tracks import (
    GRAVITY,
    Track,
    coasting,
    cruising,
    falling,
    person,
    resting,
    rolling,
    sliding,
    still,
)
from scenekit_datasets.synthetic.geometry import rectangles_overlap, vec
from scenekit_datasets.synthetic.model import Paint
from scenekit_datasets.synthetic.relations import middle_world
from scenekit_datasets.synthetic.rng import Dice
from scenekit_datasets.synthetic.shapes import build
from scenekit_datasets.synthetic.stage import Stage, random_stage
from scenekit_datasets.synthetic.vocabulary import (
    ATTRIBUTES,
    CLASSES,
    COLORS,
    IGNORE,
    KEYPOINTS,
    MIRRORED_WORDS,
    PREDICATES,
    THINGS,
)

SEED, DURATION, SIZE = 21, 5.0, (120, 160)
TIMES = np.arange(0.0, DURATION, 0.25)


@dataclass(frozen=True)
class Case:
    """A plan and some of its frames."""

    planned: Planned
    frames: list[SyntheticFrame]


@pytest.fixture(scope="module")
def plans() -> list[Planned]:
    return [plan_clip(SEED, index, DURATION) for index in range(5)]


@pytest.fixture(scope="module")
def cases(plans: list[Planned]) -> list[Case]:
    """Clips at four frames a second."""
    return [
        Case(planned, [render_frame(planned, (SEED, index, row), float(time), SIZE) for row, time in enumerate(TIMES)])
        for index, planned in enumerate(plans[:3])
    ]


def fingerprint(planned: Planned) -> str:
    """Digest of what happens and of where everything is, in steps of a tenth of a millimetre."""
    places = [
        np.round(middle_world(track.at(float(time))) * 1e4) for track in planned.plan.tracks for time in TIMES[::5]
    ]
    spans = [(round(event.start, 4), round(event.end, 4), event.captions, event.objects) for event in planned.events]
    return hashlib.sha256(repr((spans, np.array(places).astype(int).tolist())).encode()).hexdigest()[:16]


# --- sameness ---


GOLDEN = ["2901e7d302cf973c", "ecaf3186cfdbc9b3", "2f65f2e38729948d"]
"""Of clips 0, 1 and 2 of SEED."""


def test_clips_stay_as_they_are(plans):
    """A change of what a clip shows increases VERSION, and changes these."""
    assert [fingerprint(planned) for planned in plans[:3]] == GOLDEN


def test_another_process_renders_the_same_frame(cases):
    code = (
        "import hashlib; from scenekit_datasets.synthetic.clips.clip import plan_clip, render_frame;"
        f"f = render_frame(plan_clip({SEED}, 1, {DURATION}), ({SEED}, 1, 7), {TIMES[7]}, {SIZE});"
        "print(hashlib.sha256(f.scene.image.tobytes() + f.scene.depth.tobytes() + f.pose.tobytes()).hexdigest())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    frame = cases[1].frames[7]
    data = frame.scene.image.tobytes() + frame.scene.depth.tobytes() + frame.pose.tobytes()
    assert out.stdout.strip() == hashlib.sha256(data).hexdigest()


def test_the_size_of_the_images_moves_nothing(cases):
    small = cases[0].frames[9]
    large = render_frame(cases[0].planned, (SEED, 0, 9), float(TIMES[9]), (240, 320))
    assert (small.pose == large.pose).all()
    for row, number in enumerate(small.ids):
        other = large.ids.tolist().index(number)
        assert (small.scene.box_centers[row] == large.scene.box_centers[other]).all()


# --- identity and visibility ---


def test_ids_last(cases):
    """An id always has the same class and size of its 3D box, unless it is a person, whose limbs move."""
    for case in cases:
        known: dict[int, tuple[int, bytes]] = {}
        for frame in case.frames:
            rows = zip(frame.ids.tolist(), frame.scene.labels.tolist(), frame.scene.box_sizes, strict=True)
            for number, label, size in rows:
                facts = (label, b"" if THINGS[label] == "person" else np.round(size, 9).tobytes())
                assert known.setdefault(number, facts) == facts
        assert set(known) <= set(case.planned.plan.present)


def test_some_objects_are_out_of_view_for_a_while(cases):
    """Ids that are absent from some frames and present in others."""
    present = [[set(frame.ids.tolist()) for frame in case.frames] for case in cases]
    assert sum(len(set.union(*ids) - set.intersection(*ids)) for ids in present) >= 3


def test_objects_that_hardly_show_are_absent(cases):
    """Labelled objects have LEAST of the image at least; pixels of others have neither label nor segment."""
    unlabelled = 0
    for case in cases:
        for frame in case.frames:
            scene = frame.scene
            assert (scene.masks.sum(axis=(1, 2)) >= LEAST * SIZE[0] * SIZE[1]).all()
            assert ((scene.semantic == IGNORE) == (scene.panoptic == 0)).all()
            things = (scene.semantic < len(THINGS)) & (scene.semantic != IGNORE)
            assert (things == (scene.instance >= 0)).all()
            unlabelled += int((scene.semantic == IGNORE).sum())
    assert unlabelled > 0


# --- poses ---


def world(frame: SyntheticFrame, points: np.ndarray) -> np.ndarray:
    return points @ frame.pose[:3, :3].T + frame.pose[:3, 3]


def test_what_stands_still_has_one_place_in_the_world(cases):
    checked = 0
    for case in cases:
        for one, two in ((case.frames[0], case.frames[10]), (case.frames[3], case.frames[-1])):
            for number in set(one.ids.tolist()) & set(two.ids.tolist()):
                track = case.planned.plan.tracks[number]
                if track.at(one.time) is not track.at(two.time):
                    continue
                places = [
                    world(frame, frame.scene.box_centers[frame.ids.tolist().index(number)]) for frame in (one, two)
                ]
                assert np.allclose(places[0], places[1], atol=1e-9)
                checked += 1
    assert checked > 10


def unprojected(frame: SyntheticFrame, rows: np.ndarray) -> np.ndarray:
    """Points in the world of flat pixel indices, written out here."""
    width = frame.scene.depth.shape[1]
    pixels = np.stack([rows % width + 0.5, rows // width + 0.5, np.ones(len(rows))])
    rays = np.linalg.inv(frame.scene.intrinsics) @ pixels
    return world(frame, (rays * frame.scene.depth.ravel()[rows]).T)


def test_the_ground_is_level_in_every_frame(cases):
    grounds = [CLASSES.index(name) for name in ("floor", "grass", "sand", "road", "rug")]
    for case in cases:
        for frame in case.frames[::5]:
            rows = np.flatnonzero(np.isin(frame.scene.semantic, grounds) & (frame.scene.depth < 12))
            assert np.abs(unprojected(frame, rows)[:, 2]).max() < 2e-3


def test_depth_of_two_frames_is_of_one_world(cases):
    """Background of one frame, projected into another, is never behind what that one shows, and mostly on it."""
    for case in cases:
        one, two = case.frames[0], case.frames[-1]
        rows = np.flatnonzero((one.scene.instance < 0) & (one.scene.depth > 0) & (one.scene.depth < 8))
        points = (unprojected(one, rows) - two.pose[:3, 3]) @ two.pose[:3, :3]
        pixels = points @ two.scene.intrinsics.T
        xy = np.floor(pixels[:, :2] / pixels[:, 2:]).astype(int)
        inside = (points[:, 2] > 0.1) & (xy >= 0).all(axis=1) & (xy < [SIZE[1], SIZE[0]]).all(axis=1)
        depth = two.scene.depth[xy[inside, 1], xy[inside, 0]]
        free = two.scene.instance[xy[inside, 1], xy[inside, 0]] < 0
        gap = np.abs(points[inside, 2] - depth)[free]
        assert np.median(gap) < 0.02 and np.quantile(gap, 0.9) < 0.12


@pytest.mark.parametrize("kind", ["still", "pan", "dolly", "slide", "orbit"])
def test_camera_paths(kind):
    """Still does not move, pan only turns, dolly and slide only move, an orbit keeps its distance and its aim."""
    path = CameraPath(random_stage(Dice("paths")).view, kind, 0.4, 4.0, 5.0, ())
    poses = [pose_of(path.at(time)) for time in (0.0, 1.7, 5.0)]
    turns = max(np.abs(pose[:3, :3] - poses[0][:3, :3]).max() for pose in poses)
    moves = max(np.linalg.norm(pose[:3, 3] - poses[0][:3, 3]) for pose in poses)
    assert (turns > 0.1) == (kind in ("pan", "orbit")) and (moves > 0.1) == (kind in ("dolly", "slide", "orbit"))
    for pose in poses:
        assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3)) and np.linalg.det(pose[:3, :3]) > 0
        if kind == "orbit":
            aim = vec(0.0, 4.0, 0.0) - pose[:3, 3]
            assert np.hypot(aim[0], aim[1]) == pytest.approx(4.0)
            sideways = pose[:3, :3].T @ vec(aim[0], aim[1], 0.0)
            level = pose_of(replace(path.at(0.0), yaw=0.0))[:3, :3].T @ vec(0.0, 4.0, 0.0)
            assert np.allclose(sideways, level)


def test_cameras_stay_in_the_room():
    for number in range(30):
        dice = Dice("rooms", number)
        stage = random_stage(dice)
        path = random_path(dice, stage, 5.0, wide=number % 2 == 0)
        for time in np.linspace(0, 5, 11):
            if stage.walls:
                assert stage.walls[0] < path.at(float(time)).x < stage.walls[1]


# --- motion ---


@pytest.mark.parametrize("name", ["ball", "cylinder"])
def test_what_rolls_turns_by_distance_over_radius(name):
    """The axis stays at the height of the radius, and the point that touches the ground does not slip."""
    dice = Dice("rolls")
    model = build(name, dice, 1.0)
    yaw, begin = 0.7, vec(1.0, 2.0, 0.0)
    state = rolling(model, begin, yaw, coasting(2.0, (1.0, 3.0)))
    low, high = model.extent
    radius, middle = (high[0] - low[0]) / 2, (low + high) / 2
    one, two = state(1.2), state(1.25)
    moved = np.linalg.norm(middle_world(two) - middle_world(one))
    cos = (np.trace(two.turn @ one.turn.T) - 1) / 2
    assert math.acos(cos) == pytest.approx(moved / radius, rel=1e-6)
    center = one.turn @ middle + one.place
    assert center[2] == pytest.approx(radius, abs=0.003)
    contact = center - vec(0.0, 0.0, radius)
    local = one.turn.T @ (contact - one.place)
    after = two.turn @ local + two.place
    assert np.linalg.norm((after - contact)[:2]) < 0.12 * moved
    assert np.linalg.norm(middle_world(state(9.0))[:2] - begin[:2]) == pytest.approx(2.0, abs=1e-6)


def test_what_falls_falls_with_gravity():
    model = build("box", Dice("fall"), 0.5)
    start = resting(model, np.eye(3), 0.0, 0.0, 0.8, 0.0)
    state, landed, lying = falling(start, 0.0, 1.2, 2.0, math.pi / 2)
    assert landed - 2.0 == pytest.approx(math.sqrt(2 * 0.8 / GRAVITY), rel=0.01)
    assert state(2.1).verts[:, 2].min() == pytest.approx(0.8 - GRAVITY * 0.01 / 2, abs=0.01)
    assert 0 < lying.verts[:, 2].min() < 0.01 and lying.tipped
    forward = (middle_world(lying) - middle_world(start))[0]
    assert forward == pytest.approx(1.2 * (landed - 2.0), rel=0.01)


def test_a_foot_on_the_ground_stays_where_it_is():
    """At full speed, one of the lowest ankles moves at less than a fifth of the speed of the hips."""
    figure = random_figure(Dice("walker"))
    stances = walking(figure, vec(0.0, 0.0, 0.0), 0.0, 3.0, (0.0, 3.0))
    ankles = [KEYPOINTS.index("left_ankle"), KEYPOINTS.index("right_ankle")]
    for time in np.linspace(1.0, 2.0, 21):
        one, two = (figure.placed(stances(float(t))) for t in (time, time + 0.02))
        assert one.verts[:, 2].min() == pytest.approx(0.002, abs=1e-6)
        feet = [placed.model.joints[ankles] + placed.place for placed in (one, two)]
        low = feet[0][:, 2] < feet[0][:, 2].min() + 0.04
        slips = np.abs(feet[1] - feet[0])[low, 0]
        assert slips.min() < 0.2 * (two.place[0] - one.place[0])


def test_sitting_down_ends_on_the_seat_with_the_feet_where_they_were():
    figure = random_figure(Dice("sitter"))
    seat = vec(1.0, 3.0, 0.45)
    stances, stands = sitting(figure, seat, -1.0, (1.0, 2.0), down=True)
    up, low = figure.placed(stances(0.5)), figure.placed(stances(2.5))
    assert (up.model.pose, low.model.pose) == ("standing", "sitting")
    assert np.allclose([stances(0.5).x, stances(0.5).y], stands[:2])
    assert np.allclose((low.turn @ low.model.seat + low.place), seat, atol=0.02)
    ankles = [KEYPOINTS.index("left_ankle"), KEYPOINTS.index("right_ankle")]
    feet = [(placed.turn @ placed.model.joints[ankles].T).T + placed.place for placed in (up, low)]
    assert np.abs(feet[0].mean(0) - feet[1].mean(0))[:2].max() < 0.02
    assert -0.01 < low.verts[:, 2].min() < 0.06


def grounded(plan: Plan, time: float) -> list[int]:
    return [n for n in plan.present if not plan.tracks[n].raised and plan.tracks[n].at(time).verts[:, 2].min() < 0.05]


def test_nothing_goes_through_anything(plans):
    """Exact footprints of all that is on the ground, at every quarter second; what may touch is named by the plan."""
    for planned in plans:
        plan = planned.plan
        for time in TIMES.tolist():
            assert min(plan.tracks[n].at(time).verts[:, 2].min() for n in plan.present) > -0.004
            for a, b in combinations(grounded(plan, time), 2):
                if b in plan.tracks[a].touches or a in plan.tracks[b].touches:
                    continue
                one, two = plan.tracks[a].at(time), plan.tracks[b].at(time)
                assert not rectangles_overlap(one.base, two.base, 0.0), (a, b, time)


def test_what_is_pushed_or_carried_stays_with_its_person(plans):
    checked = 0
    for planned in plans:
        for action in planned.plan.actions:
            if action.verb in ("push", "carry"):
                who, what = planned.plan.tracks[action.actor], planned.plan.tracks[action.object]
                wrist = KEYPOINTS.index("left_wrist")
                for time in np.linspace(action.start, min(action.end, DURATION), 5).tolist():
                    placed = who.at(time)
                    hand = placed.turn @ placed.model.joints[wrist] + placed.place
                    verts = what.at(time).verts
                    gap = np.maximum(np.maximum(verts.min(0) - hand, hand - verts.max(0)), 0)
                    assert np.linalg.norm(gap) < 0.3
                    checked += 1
    assert checked


# --- events and relations ---


def hand_made(tracks: list[Track], actions: list[Action], stage: Stage | None = None) -> Plan:
    stage = stage or random_stage(Dice("hand made", 3))
    stage = replace(stage, walls=None, patch=None)
    path = CameraPath(stage.view, "still", 0.0, 4.0, 4.0, ())
    return Plan(stage, path, tuple(tracks), tuple(actions), 4.0)


def box_at(x: float, y: float, color: str = "blue") -> Track:
    model = build("box", Dice("box"), 1.0)
    paint = Paint(COLORS[color], color)
    model = replace(model, parts=tuple(replace(part, paint=paint) for part in model.parts), main=paint)
    return Track("box", [(0.0, still(resting(model, np.eye(3), x, y, 0.0, 0.0)))])


def red_ball(begin: tuple[float, float], yaw: float, length: float) -> Track:
    model = build("ball", Dice("ball"), 1.0)
    paint = Paint(COLORS["red"], "red")
    model = replace(model, parts=tuple(replace(part, paint=paint) for part in model.parts), main=paint)
    return Track("ball", [(0.0, rolling(model, vec(*begin, 0.0), yaw, cruising(length, (1.0, 3.0))))])


def test_a_ball_that_rolls_behind_a_box():
    """Worked by hand: from x = -1 to x = 1 at 4.2 m, past a box at 3.4 m."""
    plan = hand_made([box_at(0.0, 3.4), red_ball((-1.0, 4.2), 0.0, 2.0)], [Action("roll", 1, 1.0, 3.0)])
    (event,) = events(sampled(plan))
    assert (event.start, event.end, event.verb, event.objects) == (1.0, 3.0, "roll", (1, 0))
    assert event.captions == (
        "a red ball rolls behind a blue box",
        "a ball rolls behind a box",
        "a red ball rolls to the right",
        "a ball rolls to the right",
    )


def test_relations_change_when_the_geometry_does():
    plan = hand_made([box_at(0.0, 3.4), red_ball((-1.0, 3.9), 0.0, 2.0)], [])
    planned = Planned(plan, ())
    held = []
    for time in (0.0, 4.0):
        frame = render_frame(planned, (0, 0, 0), time, SIZE)
        ball, box = (frame.ids.tolist().index(number) for number in (1, 0))
        held.append({PREDICATES[p] for a, p, b in frame.scene.relations.tolist() if (a, b) == (ball, box)})
    assert "left of" in held[0] and "right of" not in held[0]
    assert "right of" in held[1] and "left of" not in held[1]


def test_directions_and_views():
    """Towards the camera, and out of view."""
    nearer = hand_made([red_ball((0.0, 6.0), -math.pi / 2, 2.5)], [Action("roll", 0, 1.0, 3.0)])
    assert events(sampled(nearer))[0].captions[0] == "a red ball rolls towards the camera"
    leaving = hand_made([red_ball((0.5, 3.0), math.pi, 4.5)], [Action("roll", 0, 1.0, 3.0)])
    (event,) = events(sampled(leaving))
    assert event.captions[0] == "a red ball rolls out of view" and event.end < 3.0
    assert "a red ball rolls to the left" in event.captions


def test_what_is_not_visible_is_no_event():
    hidden = hand_made([red_ball((30.0, 4.0), 0.0, 2.0)], [Action("roll", 0, 1.0, 3.0)])
    assert events(sampled(hidden)) == []


def shown_parts(case: Case, event: Event) -> list[bool]:
    inside = [frame for frame in case.frames if event.start <= frame.time <= event.end]
    return [event.objects[0] in frame.ids.tolist() for frame in inside]


def test_events_are_in_the_clip_and_their_actors_in_the_image(cases):
    for case in cases:
        assert 2 <= len(case.planned.events) <= 5
        starts = [event.start for event in case.planned.events]
        assert starts == sorted(starts)
        for event in case.planned.events:
            assert 0 <= event.start < event.end <= DURATION
            assert len(event.captions) >= 2 and len(set(event.captions)) == len(event.captions)
            shown = shown_parts(case, event)
            assert not shown or np.mean(shown) >= 0.6


def test_nothing_that_shows_moves_without_an_event(cases):
    """An object that moves between two frames, both of which show it well, belongs to an event then or just before."""
    for case in cases:
        for one, two in zip(case.frames, case.frames[1:], strict=False):
            for number in set(one.ids.tolist()) & set(two.ids.tolist()):
                row = one.ids.tolist().index(number)
                areas = [f.scene.masks[f.ids.tolist().index(number)].sum() for f in (one, two)]
                track = case.planned.plan.tracks[number]
                gap = np.linalg.norm(middle_world(track.at(one.time)) - middle_world(track.at(two.time)))
                if gap < 0.12 or min(areas) < 120 or THINGS[one.scene.labels[row]] == "person":
                    continue
                spans = [(e.start - 0.4, e.end + 0.4) for e in case.planned.events if number in e.objects]
                assert any(start <= one.time and two.time <= end for start, end in spans), (number, one.time)


def test_the_first_color_of_a_sentence_is_the_actors(cases):
    checked = 0
    for case in cases:
        for event in case.planned.events:
            text = event.captions[0]
            colors = [word for word in text.split() if word in COLORS]
            frames = [f for f in case.frames if event.start <= f.time <= event.end and event.objects[0] in f.ids]
            held = {ATTRIBUTES[a] for f in frames for a in f.scene.attributes[f.ids.tolist().index(event.objects[0])]}
            if colors and frames:
                assert colors[0] in held
                checked += 1
    assert checked >= 6


def test_the_words_are_few_and_can_be_mirrored(plans):
    """Mirroring twice gives the sentence back, and exchanges left and right and nothing else."""
    texts = {text for planned in plans for event in planned.events for text in event.captions}
    words = {word for text in texts for word in text.split()}
    assert len(words) < 100
    sided = 0
    for text in texts:
        mirrored = exchanged(text, MIRRORED_WORDS)
        assert mirrored is not None and exchanged(mirrored, MIRRORED_WORDS) == text
        sided += mirrored != text
        swap = {"left": "right", "right": "left"}
        assert mirrored.split() == [swap.get(word, word) for word in text.split()]
    assert sided


@pytest.mark.parametrize(("side", "name"), [(0, "left"), (1, "right")])
def test_the_arm_of_a_sentence_is_the_one_that_goes_up(side, name):
    """The person's own left arm is on the right of the image when the person faces the camera."""
    stances = troupes.raising(Stance(0.0, 6.5, -math.pi / 2), side, (1.0, 1.7))
    plan = hand_made([person(random_figure(Dice("arm")), (0.0, stances))], [Action("raise", 0, 1.0, 1.7, side=name)])
    (event,) = events(sampled(plan))
    assert event.captions[0].endswith(f"raises the {name} arm")
    frame = render_frame(Planned(plan, ()), (0, 0, 0), 3.0, SIZE)
    xy = {
        joint: frame.scene.keypoints[0, KEYPOINTS.index(joint), :2] for joint in ("left_wrist", "right_wrist", "nose")
    }
    other = {"left": "right", "right": "left"}[name]
    assert xy[f"{name}_wrist"][1] < xy["nose"][1] < xy[f"{other}_wrist"][1]
    assert (xy[f"{name}_wrist"][0] > xy["nose"][0]) == (name == "left")


def test_every_template_has_a_sentence_for_each_verb():
    assert not set(clip_events.TEMPLATES) & set(clip_events.VERBS)


def test_a_person_at_rest_is_built_once():
    figure = random_figure(Dice("rest"))
    track = person(figure, (0.0, lambda time: Stance(0.0, 3.0, 0.0)))
    assert track.at(0.0) is track.at(1.0)


def test_sliding_keeps_the_rotation():
    start = box_at(0.0, 3.0).at(0.0)
    state = sliding(start, 0.0, cruising(1.5, (1.0, 2.0)))
    assert (state(1.5).turn == start.turn).all()
    assert state(2.0).place[0] == pytest.approx(1.5) and state(1.5).place[0] == pytest.approx(0.75)


# --- visits ---


def test_a_later_visit_differs_in_what_it_says(plans):
    kinds = set()
    for index, planned in enumerate(plans):
        later = revisited(Dice("later", index), planned.plan)
        kinds |= {change.kind for change in later.changes}
        _check_visit(planned.plan, later)
    assert kinds == {"moved", "appeared", "vanished"}


def test_the_first_visit_can_be_still():
    first, later = (plan_clip(SEED, 0, DURATION, still=True, visit=visit) for visit in (0, 1))
    assert not first.events and first.plan.path.amount != later.plan.path.amount
    assert first.plan.stage == later.plan.stage
    _check_visit(first.plan, later)


def _check_visit(first: Plan, later: Planned) -> None:
    changed = {change.id: change for change in later.changes}
    before, after = set(first.present), set(later.plan.present)
    assert after - before == {n for n, change in changed.items() if change.kind == "appeared"}
    assert before - after == {n for n, change in changed.items() if change.kind == "vanished"}
    for number in before & after:
        one, two = first.tracks[number].at(DURATION), later.plan.tracks[number].at(2.0)
        assert first.tracks[number].category == later.plan.tracks[number].category
        if number in changed:
            assert np.linalg.norm((middle_world(one) - middle_world(two))[:2]) >= 0.5
            assert np.allclose(changed[number].before, middle_world(one))
            assert np.allclose(changed[number].after, middle_world(two))
        else:
            assert np.allclose(one.verts, two.verts)
    assert not later.events and not any(track.figure for track in later.plan.tracks)
