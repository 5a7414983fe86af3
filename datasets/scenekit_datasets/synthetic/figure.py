"""The articulated person with COCO's 17 keypoints.

Letters: K = 17 keypoints.
Template frame: x forward, y to the person's left, z up, soles at z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scenekit_datasets.synthetic.geometry import Mat3, Vec3, rotation, vec
from scenekit_datasets.synthetic.model import Builder, Model, Paint, Part, random_paint, vary
from scenekit_datasets.synthetic.primitives import ball, lathe
from scenekit_datasets.synthetic.rng import Dice
from scenekit_datasets.synthetic.vocabulary import KEYPOINTS

SKIN = ((0.96, 0.78, 0.66), (0.89, 0.67, 0.52), (0.76, 0.53, 0.38), (0.55, 0.36, 0.25), (0.38, 0.25, 0.18))
HAIR = ((0.10, 0.08, 0.07), (0.30, 0.18, 0.10), (0.55, 0.36, 0.16), (0.82, 0.68, 0.38), (0.55, 0.53, 0.52))
TROUSERS = ("blue", "black", "gray", "brown", "white", "green")

TORSO = (
    (0.0, 0.0),
    (0.80, 0.0),
    (0.86, 0.10),
    (0.76, 0.38),
    (0.92, 0.72),
    (0.98, 0.86),
    (0.72, 0.96),
    (0.3, 1.0),
    (0.0, 1.0),
)
"""Profile from hips to shoulders: radius over height, both scaled to 1."""


THIGH = 0.0675
"""From the middle of the hips down to the seat, in body heights."""


@dataclass(frozen=True)
class Pose:
    """Joint angles in radians; pairs are (left, right)."""

    name: str
    """"standing" or "sitting"."""
    lean: float
    """Forward lean of the trunk."""
    twist: float
    """Rotation of the trunk about the vertical axis."""
    nod: float
    """Downward pitch of the head."""
    look: float
    """Rotation of the head about the vertical axis."""
    raise_side: tuple[float, float]
    """Sideways raise of the arms."""
    raise_front: tuple[float, float]
    """Forward raise of the arms."""
    elbow: tuple[float, float]
    """Bend of the elbows."""
    hip: tuple[float, float]
    """Forward raise of the thighs."""
    spread: tuple[float, float]
    """Sideways raise of the thighs."""
    knee: tuple[float, float]
    """Bend of the knees."""


def _arm(dice: Dice, style: str) -> tuple[float, float, float]:
    """Return (sideways raise, forward raise, elbow bend) of one arm."""
    u = dice.uniform
    if style == "wave":
        return u(1.6, 2.4), u(-0.2, 0.2), u(0.3, 1.2)
    if style == "out":
        return u(1.0, 1.6), u(-0.2, 0.3), u(0.0, 0.6)
    if style == "reach":
        return u(0.05, 0.3), u(0.7, 1.7), u(0.0, 0.8)
    if style == "akimbo":
        return u(0.6, 0.8), u(-0.4, -0.2), u(1.5, 1.9)
    return u(0.08, 0.3), u(-0.35, 0.35), u(0.1, 0.6)


def random_pose(dice: Dice, sitting: bool) -> Pose:
    """Draw a pose: each arm in a style of its own; legs together, apart, striding or sitting.

    Args:
        dice: Source of random choices.
        sitting: Whether the person sits.

    Returns:
        The pose.
    """
    styles = {"hang": 3.0, "wave": 1.2, "out": 1.0, "reach": 1.2, "akimbo": 0.6}
    arms = [_arm(dice, dice.weighted(styles)) for _ in range(2)]
    u = dice.uniform
    if sitting:
        hip, knee = (u(1.4, 1.6), u(1.4, 1.6)), (u(1.3, 1.65), u(1.3, 1.65))
    elif dice.chance(0.4):
        stride = dice.sign() * u(0.2, 0.55)
        hip = (stride, -stride * 0.8)
        knee = (u(0.05, 0.2) if stride > 0 else u(0.2, 0.6), u(0.2, 0.6) if stride > 0 else u(0.05, 0.2))
    else:
        hip, knee = (u(-0.05, 0.1), u(-0.05, 0.1)), (u(0.0, 0.15), u(0.0, 0.15))
    apart = (u(0.02, 0.22), u(0.02, 0.22))
    return Pose(
        "sitting" if sitting else "standing",
        lean=u(-0.08, 0.18),
        twist=u(-0.3, 0.3),
        nod=u(-0.15, 0.3),
        look=u(-0.6, 0.6),
        raise_side=(arms[0][0], arms[1][0]),
        raise_front=(arms[0][1], arms[1][1]),
        elbow=(arms[0][2], arms[1][2]),
        hip=hip,
        spread=apart,
        knee=knee,
    )


@dataclass(frozen=True)
class Wardrobe:
    """Paints of skin, hair and clothes."""

    skin: Paint
    hair: Paint
    shirt: Paint
    sleeve: Paint
    trousers: Paint
    shoes: Paint


def random_wardrobe(dice: Dice) -> Wardrobe:
    """Draw the paints of a person.

    Args:
        dice: Source of random choices.

    Returns:
        The paints.
    """
    skin = Paint(vary(dice, dice.pick(SKIN), 0.03), shine=0.12)
    shirt = random_paint(dice, 0.07, patterned=0.35)
    trousers = random_paint(dice, 0.1, patterned=0.0, colors=TROUSERS)
    plain = Paint(shirt.rgb, shirt.name, shirt.pattern, shirt.second, shirt.cell)
    shoes = Paint(dice.pick(((0.1, 0.1, 0.1), (0.9, 0.9, 0.9), (0.4, 0.2, 0.1), (0.7, 0.1, 0.1))))
    legs = Paint(trousers.rgb, trousers.name)
    return Wardrobe(skin, Paint(dice.pick(HAIR)), plain, plain if dice.chance(0.5) else skin, legs, shoes)


def make_person(dice: Dice, height: float, sitting: bool = False, seat: float = 0.45) -> Model:
    """Create a person.

    Args:
        dice: Source of random choices.
        height: Body height in metres.
        sitting: Whether the person sits.
        seat: Height in metres of the underside of the thighs above the soles, for a sitting person.

    Returns:
        The model.
    """
    pose, wear = random_pose(dice, sitting), random_wardrobe(dice)
    return posed(height, pose, wear, seat + THIGH * height if sitting else None, seat if sitting else None)


def posed(height: float, pose: Pose, wear: Wardrobe, hips: float | None = None, seat: float | None = None) -> Model:
    """Build a person in a pose.

    Args:
        height: Body height in metres.
        pose: The pose.
        wear: Paints of skin, hair and clothes.
        hips: Height of the hips in metres; None puts the lowest point on the ground.
        seat: Height in metres of the underside of the thighs; None for a person that rests on its feet.

    Returns:
        The model.
    """
    body = _Body(height, pose, wear)
    legs = body.legs(np.zeros(3))
    trunk = body.upper(np.zeros(3))
    parts = legs.parts + trunk.parts
    joints = np.stack([body.joints[name] for name in KEYPOINTS])
    reach = np.array([body.reach[name] for name in KEYPOINTS])
    lift = vec(0.0, 0.0, -_lowest(parts) if hips is None else hips)
    return Model(
        "person",
        tuple(replace(part, offset=part.offset + lift) for part in parts),
        wear.shirt,
        scale=height / 1.65,
        second=wear.trousers,
        seat=None if seat is None else vec(0.0, 0.0, seat),
        pose=pose.name,
        joints=joints + lift,
        reach=reach,
    )


def _lowest(parts: list[Part]) -> float:
    return min(float((p.primitive.verts @ p.linear.T + p.offset)[:, 2].min()) for p in parts)


def hips_above_ground(height: float, pose: Pose, wear: Wardrobe) -> float:
    """Compute the height of the hips of a person whose feet are on the ground.

    Args:
        height: Body height in metres.
        pose: The pose.
        wear: Paints of skin, hair and clothes.

    Returns:
        Height in metres.
    """
    return -_lowest(_Body(height, pose, wear).legs(np.zeros(3)).parts)


class _Body:
    """Builds the parts of one person around the middle of the hips, and collects the joints."""

    def __init__(self, height: float, pose: Pose, wear: Wardrobe) -> None:
        self.h, self.pose, self.wear = height, pose, wear
        self.joints: dict[str, Vec3] = {}
        self.reach: dict[str, float] = {}

    def _add_joint(self, name: str, at: Vec3, reach: float) -> None:
        self.joints[name], self.reach[name] = at, reach * self.h

    def legs(self, hips: Vec3) -> Builder:
        out, h, pose = Builder(), self.h, self.pose
        for index, (side, sign) in enumerate((("left", 1.0), ("right", -1.0))):
            hip = hips + vec(0.0, sign * 0.055, 0.0) * h
            turn = rotation(0, sign * pose.spread[index]) @ rotation(1, -pose.hip[index])
            knee = hip + turn @ vec(0.0, 0.0, -0.245 * h)
            shin = turn @ rotation(1, pose.knee[index])
            ankle = knee + shin @ vec(0.0, 0.0, -0.235 * h)
            out.limb(hip, knee, 0.052 * h, self.wear.trousers, 0.75)
            out.limb(knee, ankle, 0.040 * h, self.wear.trousers, 0.7)
            self._shoe(out, ankle, shin)
            self._add_joint(f"{side}_hip", hip, 0.1)
            self._add_joint(f"{side}_knee", knee, 0.062)
            self._add_joint(f"{side}_ankle", ankle, 0.055)
        return out

    def _shoe(self, out: Builder, ankle: Vec3, shin: Mat3) -> None:
        """Add an ellipsoid that points forward and stays nearly level."""
        h = self.h
        forward = shin @ vec(1.0, 0.0, 0.0)
        yaw = rotation(2, float(np.arctan2(forward[1], max(forward[0], 0.3))))
        out.add(
            ball(2),
            (0.075 * h, 0.033 * h, 0.03 * h),
            ankle + yaw @ vec(0.035, 0.0, -0.02) * h,
            self.wear.shoes,
            yaw,
        )

    def upper(self, hips: Vec3) -> Builder:
        out, h, pose = Builder(), self.h, self.pose
        spine = rotation(1, pose.lean) @ rotation(2, pose.twist)
        out.add(ball(2), (0.072 * h, 0.1 * h, 0.07 * h), hips, self.wear.trousers)
        trunk = 0.315 * h
        out.add(
            lathe(TORSO, 24),
            (0.078 * h, 0.118 * h, trunk),
            hips - spine @ vec(0.0, 0.0, 0.01 * h),
            self.wear.shirt,
            spine,
        )
        for index, (side, sign) in enumerate((("left", 1.0), ("right", -1.0))):
            shoulder = hips + spine @ vec(0.0, sign * 0.108 * h, 0.27 * h)
            self._arm(out, shoulder, spine, index, side, sign)
        neck = hips + spine @ vec(0.0, 0.0, trunk - 0.02 * h)
        self._head(out, neck, rotation(1, pose.lean * 0.5) @ rotation(2, pose.twist * 0.5))
        return out

    def _arm(self, out: Builder, shoulder: Vec3, spine: Mat3, index: int, side: str, sign: float) -> None:
        h, pose, wear = self.h, self.pose, self.wear
        turn = spine @ rotation(1, -pose.raise_front[index]) @ rotation(0, sign * pose.raise_side[index])
        elbow = shoulder + turn @ vec(0.0, 0.0, -0.165 * h)
        fore = turn @ rotation(1, -pose.elbow[index])
        wrist = elbow + fore @ vec(0.0, 0.0, -0.145 * h)
        out.limb(shoulder, elbow, 0.035 * h, wear.shirt, 0.82)
        out.limb(elbow, wrist, 0.028 * h, wear.sleeve, 0.75)
        hand = wrist + fore @ vec(0.0, 0.0, -0.04 * h)
        out.add(ball(1), (0.024 * h, 0.03 * h, 0.045 * h), hand, wear.skin, fore)
        self._add_joint(f"{side}_shoulder", shoulder, 0.065)
        self._add_joint(f"{side}_elbow", elbow, 0.052)
        self._add_joint(f"{side}_wrist", wrist, 0.05)

    def _head(self, out: Builder, neck: Vec3, base: Mat3) -> None:
        """Add skull, hair, ears, eyes and nose; the facial keypoints lie on the skin."""
        h, wear = self.h, self.wear
        turn = base @ rotation(2, self.pose.look) @ rotation(1, self.pose.nod)
        middle = neck + base @ vec(0.006, 0.0, 0.035) * h + turn @ vec(0.008, 0.0, 0.06) * h
        out.limb(neck - base @ vec(0.0, 0.0, 0.02 * h), neck + base @ vec(0.0, 0.0, 0.06 * h), 0.03 * h, wear.skin)
        out.add(ball(2), (0.058 * h, 0.049 * h, 0.068 * h), middle, wear.skin, turn)
        out.add(
            ball(2),
            (0.061 * h, 0.055 * h, 0.064 * h),
            middle + turn @ vec(-0.014, 0.0, 0.018) * h,
            wear.hair,
            turn,
        )
        white, dark, lip = Paint((0.97, 0.97, 0.97)), Paint((0.06, 0.05, 0.05), shine=0.5), Paint((0.62, 0.22, 0.2))

        def bump(at: tuple[float, float, float], size: tuple[float, float, float], paint: Paint) -> Vec3:
            center: Vec3 = middle + turn @ np.array(at) * h
            out.add(ball(1), (size[0] * h, size[1] * h, size[2] * h), center, paint, turn)
            return center

        self._add_joint("nose", bump((0.060, 0.0, -0.010), (0.012, 0.008, 0.014), wear.skin), 0.025)
        bump((0.054, 0.0, -0.034), (0.006, 0.018, 0.005), lip)
        for side, sign in (("left", 1.0), ("right", -1.0)):
            eye = bump((0.050, sign * 0.020, 0.006), (0.008, 0.010, 0.008), white)
            bump((0.056, sign * 0.020, 0.006), (0.004, 0.005, 0.006), dark)
            ear = bump((-0.002, sign * 0.053, -0.006), (0.010, 0.008, 0.018), wear.skin)
            self._add_joint(f"{side}_eye", eye, 0.025)
            self._add_joint(f"{side}_ear", ear, 0.03)
