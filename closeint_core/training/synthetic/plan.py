# SPDX-License-Identifier: Apache-2.0
"""From the description of a kind to tensors for many pairs: what each one does, before the bodies meet."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import roma
import torch
from torch import Tensor

from closeint_core.body.torch_body import TorchBody
from closeint_core.training.synthetic.curves import keyed, smooth, smoothstep
from closeint_core.training.synthetic.legs import axis_rotation
from closeint_core.training.synthetic.motions import Motions, sample_motions
from closeint_core.training.synthetic.spec import Keys, Kind, Role
from closeint_core.training.synthetic.surface import JOINT, PLACE
from closeint_core.training.synthetic.whole_body import of_stature, raised, resting, tilted

MAX_TOUCHES = 10
_PAD = 15
_ARM_NOISE = (5.0, 7.0, 9.0, 8.0, 9.0, 6.0)
_TORSO_NOISE, _HEAD_NOISE = 2.0, 4.0
_TOES = 0.5  # radians, toes bend no farther: those of somebody who kneels point back
_STEP_LENGTH = 0.55
_RECORDED = 0.8
"""Share of the people whose role takes recorded motion who do, where there is any."""


@dataclass
class Plan:
    """What N pairs are to do in T frames; person axis second.

    Attributes:
        betas: (N, 2, 10).
        prior: (N, 2, T, 24, 3) axis-angle of every joint but the legs; joint 0 is relative to the heading.
        heading: (N, 2, T) radians about the vertical.
        pelvis: (N, 2, T, 3) metres.
        ankles: (N, 2, T, 2, 3) metres, left then right. foot_yaw, foot_pitch, toes: (N, 2, T, 2) radians.
        planted: (N, 2, T, 2) 1 where a foot stands. free: (N, 2, T, 2) 1 where it is held in the air.
        gaze: (N, 2, T). tilt: (N, 2, T, 3, 3) the whole body's turn about the pelvis, in the axes of the rest frame.
        rests: (N, 2, len(PLACES)) 1 where a place rests on the floor.
        who, mine, theirs: (N, C) whose place touches which place of the other.
        weight: (N, C, T) 0 apart to 1 touching. gap, facing, held, slack: (N, C). whom: (N, C) whose place is touched.
        apart: (N,) metres. fps: (N,). kind: (N,) number of the kind.
    """

    betas: Tensor
    prior: Tensor
    heading: Tensor
    pelvis: Tensor
    ankles: Tensor
    foot_yaw: Tensor
    foot_pitch: Tensor
    toes: Tensor
    planted: Tensor
    free: Tensor
    gaze: Tensor
    tilt: Tensor
    rests: Tensor
    who: Tensor
    mine: Tensor
    theirs: Tensor
    weight: Tensor
    gap: Tensor
    facing: Tensor
    held: Tensor
    slack: Tensor
    whom: Tensor
    apart: Tensor
    fps: Tensor
    kind: Tensor

    @classmethod
    def join(cls, parts: list[Plan]) -> Plan:
        """One batch of several."""
        return cls(**{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)})

    def at(self, frames: Tensor) -> Plan:
        """The plan of some frames (F,) only."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        timed = (
            "prior",
            "heading",
            "pelvis",
            "ankles",
            "foot_yaw",
            "foot_pitch",
            "toes",
            "planted",
            "free",
            "gaze",
            "tilt",
        )
        return Plan(**{**parts, **{name: parts[name][:, :, frames] for name in (*timed, "weight")}})

    def to(self, device: torch.device) -> Plan:
        """The same on another device."""
        return Plan(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


class Draw:
    """Seeded random numbers, the same on every device if drawn on the CPU, and the same on each if drawn there."""

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)

    def randn(self, *shape: int) -> Tensor:
        """Standard normal numbers."""
        return torch.randn(*shape, generator=self.generator, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers, at most 2.2 from zero."""
        return self.randn(*shape).clamp(-2.2, 2.2)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Numbers between ``low`` and ``high``."""
        return low + (high - low) * torch.rand(*shape, generator=self.generator, device=self.device)

    def integers(self, count: int, *shape: int) -> Tensor:
        """Whole numbers 0..count - 1."""
        return torch.randint(count, shape, generator=self.generator, device=self.device)


def draw_shapes(draw: Draw, count: int, num_betas: int) -> Tensor:
    """(count, 2, num_betas) shapes of adults; statures wider apart than chance would have them."""
    betas = draw.normal(count, 2, num_betas)
    betas[..., 0] *= 1.15
    betas[..., 1] = betas[..., 1].clamp(min=-1.8)
    return betas


def make_plan(
    kind: Kind, number: int, count: int, frames: int, draw: Draw, body: TorchBody, motions: Motions | None = None
) -> Plan:
    """Plans of ``count`` pairs of one kind, on the CPU.

    Args:
        number: the kind's number. frames: T. body: on the CPU. motions: recorded ones for the roles that take them.
    """
    betas = draw_shapes(draw, count, body.num_betas)
    for p, role in enumerate(kind.roles):
        if role.stature is not None:
            betas[:, p] = of_stature(betas[:, p], draw.uniform(*role.stature, count), body)
    rest = body.rest_joints(betas)
    soles = body.rest_vertices(betas, _sole_ids(body))[..., 1].amin(-1)
    fps = torch.where(draw.uniform(0, 1, count) < 0.5, 25.0, 30.0)
    pace = draw.uniform(*kind.pace, count)
    length = frames / fps * pace
    first = (kind.focus[0] - 0.55 * length).clamp(min=-0.3)
    last = torch.maximum(kind.focus[1] - 0.45 * length, first)
    start = first + (last - first) * draw.uniform(0, 1, count)
    steps = torch.arange(-_PAD, frames + _PAD, dtype=torch.float32)
    times = start[:, None] + steps / fps[:, None] * pace[:, None]
    leg = (rest[..., JOINT["pelvis"], 1] - soles) / 0.971  # (N, 2), 1 on average
    scale = leg.mean(1)
    people = []
    standing = 0.99 * (rest[..., JOINT["pelvis"], 1] - soles)
    for p, role in enumerate(kind.roles):
        size = _Size(rest[:, p], soles[:, p], leg[:, p], scale)
        person = _person(role, times, size, draw)
        clips = [] if motions is None else [motions.names.index(n) for n in role.motion if n in motions.names]
        if motions is not None and clips:
            recorded = _recorded(role, motions, clips, steps / fps[:, None], size, draw)
            chosen = draw.uniform(0, 1, count) < _RECORDED
            person = {
                n: torch.where(chosen.reshape(-1, *[1] * (x.ndim - 1)), recorded[n], x) for n, x in person.items()
            }
        if role.carried:
            person = raised(person, standing[:, 1 - p] - standing[:, p])
        people.append(person | tilted(role, times, person["prior"]))
    crop = slice(_PAD, _PAD + frames)
    stacked = {name: torch.stack([person[name][:, crop] for person in people], 1) for name in people[0]}
    touches = _touches(kind, times[:, crop], draw)
    return Plan(
        betas=betas,
        **stacked,
        **touches,
        rests=resting(kind).expand(count, -1, -1).clone(),
        apart=torch.full((count,), kind.apart),
        fps=fps,
        kind=torch.full((count,), number),
    )


def _sole_ids(body: TorchBody) -> Tensor:
    feet = torch.as_tensor(body.data.parts)
    on_foot = (feet == JOINT["left_ankle"]) | (feet == JOINT["left_foot"])
    return torch.nonzero(on_foot)[:, 0].to(body.template.device)


def _touches(kind: Kind, times: Tensor, draw: Draw) -> dict[str, Tensor]:
    count = len(times)
    if len(kind.touches) > MAX_TOUCHES:
        raise ValueError(f"{kind.name} has more than {MAX_TOUCHES} touches")
    whole = {name: torch.zeros(count, MAX_TOUCHES, dtype=torch.int64) for name in ("who", "whom", "mine", "theirs")}
    parts = {name: torch.zeros(count, MAX_TOUCHES) for name in ("gap", "facing", "held", "slack")}
    weight = torch.zeros(count, MAX_TOUCHES, times.shape[1])
    for row, touch in enumerate(kind.touches):
        options = torch.tensor([PLACE[name] for name in touch.on])
        whole["who"][:, row] = touch.who
        whole["whom"][:, row] = touch.who if touch.own else 1 - touch.who
        whole["mine"][:, row] = PLACE[touch.point]
        whole["theirs"][:, row] = options[draw.integers(len(options), count)]
        parts["gap"][:, row], parts["facing"][:, row] = touch.gap, touch.facing
        parts["held"][:, row], parts["slack"][:, row] = float(touch.held), touch.slack
        closing = smoothstep((times - (touch.start - touch.ramp)) / touch.ramp)
        weight[:, row] = closing * (1 - smoothstep((times - touch.end) / touch.ramp))
    return {**whole, **parts, "weight": weight}


@dataclass(frozen=True)
class _Size:
    """How large one person of N pairs is.

    Attributes:
        rest: (N, 24, 3) joints of the rest pose. sole: (N,) its lowest height, metres.
        leg: (N,) length of the legs, 1 on average. scale: (N,) the mean of both people's.
    """

    rest: Tensor
    sole: Tensor
    leg: Tensor
    scale: Tensor


def _person(role: Role, times: Tensor, size: _Size, draw: Draw) -> dict[str, Tensor]:
    """Curves (N, T, ...) of one person; see ``Plan``."""
    count, rest, sole, leg = len(times), size.rest, size.sole, size.leg
    feet = _footsteps(role, times, rest, size.scale, draw)
    ankle_height = torch.stack([rest[:, JOINT[f"{s}_ankle"], 1] for s in ("left", "right")], 1) - sole[:, None]
    middle = feet["place"].mean(2)
    carry = 0.15 + feet["planted"]
    over_foot = (carry[..., None] * feet["place"]).sum(2) / carry.sum(2)[..., None]
    path = smooth(middle, 4.0) + 0.35 * smooth(over_foot - middle, 3.5)
    heading = smooth(feet["yaw"].mean(2)[..., None], 4.0)[..., 0]
    ahead = torch.stack((torch.cos(heading), torch.sin(heading)), -1)
    aside = torch.stack((-ahead[..., 1], ahead[..., 0]), -1)
    extra = keyed(role.pelvis, times, 0.012 * draw.normal(count, len(role.pelvis), 3)) * leg[:, None, None]
    balance = rest[:, 0, 2] - 0.5 * (rest[:, JOINT["left_ankle"], 2] + rest[:, JOINT["right_ankle"], 2])
    path = path + ahead * (balance[:, None, None] + extra[..., :1]) + aside * extra[..., 1:2]
    height = (0.99 * (rest[:, 0, 1] - sole))[:, None] + extra[..., 2]

    place = torch.cat((feet["place"], ankle_height[:, None, :, None] + feet["lift"][..., None]), -1)
    free = torch.zeros_like(feet["lift"])
    pitch = feet["pitch"]
    for foot, keys in enumerate((role.left_foot, role.right_foot)):
        if not keys:
            continue
        curve = keyed(keys, times)
        noise = 0.02 * draw.normal(count, 1, 3)
        held = (curve[..., 1:4] + noise) * leg[:, None, None]
        there = path + ahead * held[..., :1] + aside * held[..., 1:2]
        target = torch.cat((there, held[..., 2:] + ankle_height[:, foot, None, None]), -1)
        share = curve[..., :1]
        place[:, :, foot] = place[:, :, foot] * (1 - share) + target * share
        pitch[:, :, foot] = pitch[:, :, foot] * (1 - share[..., 0]) + torch.deg2rad(curve[..., 4]) * share[..., 0]
        free[:, :, foot] = share[..., 0]
    planted = feet["planted"] * (free < 0.01)

    if not role.tilt:  # of somebody who lies, legs are not below the pelvis
        height = _within_reach(path, heading, height, place, rest)
    return {
        "prior": _keyed_pose(role, times, feet, draw),
        "heading": heading,
        "pelvis": torch.cat((path, height[..., None]), -1),
        "ankles": place,
        "foot_yaw": feet["yaw"],
        "foot_pitch": pitch,
        "toes": (-0.6 * torch.relu(feet["pitch"])).clamp(min=-_TOES),
        "planted": planted,
        "free": free,
        "gaze": keyed(role.gaze, times)[..., 0],
    }


def _within_reach(path: Tensor, heading: Tensor, height: Tensor, place: Tensor, rest: Tensor) -> Tensor:
    """Height (N, T) of the pelvis at ``path`` (N, T, 2), no higher than legs reach: both feet stay where they are."""
    ahead = torch.stack((torch.cos(heading), torch.sin(heading)), -1)
    aside = torch.stack((-ahead[..., 1], ahead[..., 0]), -1)
    hip = torch.stack([rest[:, JOINT[f"{s}_hip"]] for s in ("left", "right")], 1) - rest[:, None, 0]
    longest = torch.stack(
        [
            (rest[:, JOINT[f"{s}_knee"]] - rest[:, JOINT[f"{s}_hip"]]).norm(dim=-1)
            + (rest[:, JOINT[f"{s}_ankle"]] - rest[:, JOINT[f"{s}_knee"]]).norm(dim=-1)
            for s in ("left", "right")
        ],
        1,
    )
    hip_at = path[:, :, None] + aside[:, :, None] * hip[:, None, :, :1] + ahead[:, :, None] * hip[:, None, :, 2:]
    flat = (hip_at - place[..., :2]).square().sum(-1)
    room = ((0.988 * longest[:, None]).square() - flat).clamp(min=1e-4).sqrt()
    room = place[..., 2] + room - hip[:, None, :, 1]
    room = room.amin(2)
    return smooth(torch.minimum(height, room)[..., None], 2.0)[..., 0]


def _recorded(
    role: Role, motions: Motions, clips: list[int], seconds: Tensor, size: _Size, draw: Draw
) -> dict[str, Tensor]:
    """Curves of one person who moves as a clip does, see ``Plan``; ``seconds`` (N, T) from the first frame."""
    (count, frames), rest = seconds.shape, size.rest
    clip = torch.tensor(clips)[draw.integers(len(clips), count)]
    rate = draw.uniform(0.85, 1.15, count)[:, None]
    length = (motions.frames[clip] - 1)[:, None] / 30.0
    span = (seconds[:, -_PAD] * rate[:, 0])[:, None]
    spare = torch.where(motions.loop[clip][:, None], length, (length - span).clamp(min=0))
    curves = sample_motions(motions, clip, spare * draw.uniform(0, 1, count)[:, None] + seconds * rate)
    for name, values in curves.items():
        if name != "planted":  # frames in between, and loops, leave kinks
            curves[name] = smooth(values.flatten(2) if values.ndim > 2 else values[..., None], 1.3).reshape(
                values.shape
            )
    ankle = torch.stack([rest[:, JOINT[f"{s}_ankle"], 1] for s in ("left", "right")], 1)
    leg = rest[:, 0, 1] - ankle.mean(1)
    pelvis, ankles = curves["pelvis"] * leg[:, None, None], curves["ankles"] * leg[:, None, None, None]
    # In the middle of the window the person is at the role's place and faces as it says.
    x, y, yaw = (torch.tensor(role.place[0][i]) for i in (1, 2, 3))
    middle = frames // 2
    turn = torch.deg2rad(yaw) + 0.25 * draw.normal(count) - curves["heading"][:, middle]
    c, s = torch.cos(turn), torch.sin(turn)
    spin = torch.stack((torch.stack((c, -s), -1), torch.stack((s, c), -1)), -2)  # (N, 2, 2)
    there = torch.stack((x * size.scale, y * size.scale), -1) + 0.12 * draw.normal(count, 2)
    centre = pelvis[:, middle, :2].clone()
    path = (pelvis[..., :2] - centre[:, None]) @ spin.mT + there[:, None]
    flat = (ankles[..., :2] - centre[:, None, None]) @ spin.mT[:, None] + there[:, None, None]
    height = (ankle - size.sole[:, None])[:, None]
    place = torch.cat((flat, (ankles[..., 2] + height)[..., None]), -1)
    heading = curves["heading"] + turn[:, None]
    prior = curves["prior"].clone()
    for name in ("shoulder", "elbow", "collar", "wrist"):
        for side in ("left", "right"):
            prior[:, :, JOINT[f"{side}_{name}"]] += math.radians(4) * draw.normal(count, 1, 3)
    up = _within_reach(path, heading, pelvis[..., 2] + height[..., 0], place, rest)
    return {
        "prior": prior,
        "heading": heading,
        "pelvis": torch.cat((path, up[..., None]), -1),
        "ankles": place,
        "foot_yaw": curves["foot_yaw"] + turn[:, None, None],
        "foot_pitch": curves["foot_pitch"],
        "toes": -0.6 * torch.relu(curves["foot_pitch"]),
        "planted": curves["planted"],
        "free": torch.zeros_like(curves["planted"]),
        "gaze": torch.zeros_like(heading),
    }


def _footsteps(role: Role, times: Tensor, rest: Tensor, scale: Tensor, draw: Draw) -> dict[str, Tensor]:
    """Feet over time from the places of a role: place (N, T, 2, 2), yaw, lift, pitch, planted (N, T, 2)."""
    count = len(times)
    noise = draw.normal(count, 3)
    width, ahead = role.stance
    hips = (rest[:, JOINT["left_hip"], 0] - rest[:, JOINT["right_hip"], 0]) / 0.188
    spread = (width * hips + 0.02 * draw.normal(count)).clamp(min=0.1)
    stagger = ahead * scale + 0.025 * draw.normal(count)

    def stand(row: tuple[float, ...]) -> Tensor:
        """(N, 2, 3): x, y, yaw of the left and the right foot at a place."""
        x = row[1] * scale + 0.02 * noise[:, 0]
        y = row[2] * scale + 0.02 * noise[:, 1]
        yaw = math.radians(row[3]) + math.radians(4) * noise[:, 2]
        c, s = torch.cos(yaw), torch.sin(yaw)
        feet = []
        for sign in (1.0, -1.0):
            forward, left = 0.5 * sign * stagger, 0.5 * sign * spread
            feet.append(torch.stack((x + c * forward - s * left, y + s * forward + c * left, yaw + sign * toe_out), -1))
        return torch.stack(feet, 1)

    toe_out = math.radians(role.toe_out) * draw.uniform(0.3, 1.6, count)
    here = stand(role.place[0])
    place = here[:, None].expand(-1, times.shape[1], -1, -1).clone()
    lift = torch.zeros(count, times.shape[1], 2)
    pitch, planted = torch.zeros_like(lift), torch.ones_like(lift)
    leads = draw.integers(2, count)
    for index, (row, following) in enumerate(zip(role.place[:-1], role.place[1:], strict=True)):
        goal = stand(following)
        distance = math.hypot(following[1] - row[1], following[2] - row[2])
        turn = abs(following[3] - row[3])
        wanted = max(math.ceil(distance / _STEP_LENGTH), math.ceil(turn / 50)) + 1
        steps = role.steps[index] if role.steps else wanted
        if (distance < 1e-6 and turn < 1e-6) or steps == 0:
            continue
        slot = (following[0] - row[0]) / steps
        begin = here.clone()
        for step in range(steps):
            share = min(1.0, (step + 1) / max(1, steps - 1))
            target = begin + (goal - begin) * share
            foot = (step + leads) % 2
            off = row[0] + step * slot
            phase = (times - off) / (0.95 * slot)
            active = ((phase > 0) & (phase < 1)).float()
            which = torch.nn.functional.one_hot(foot, 2).float()[:, None]  # (N, 1, 2)
            delta = (target - here) * which[:, 0, :, None]
            place = place + smoothstep(phase)[..., None, None] * delta[:, None]
            here = here + delta
            reach = delta[..., :2].norm(dim=-1).amax(1)
            swing = torch.sin(math.pi * phase.clamp(0, 1)).square() * active
            lift = lift + which * (swing * (0.02 + 0.06 * reach.clamp(max=0.7))[:, None])[..., None]
            # The heel leads off the floor and lands first; the sine keeps both ends flat.
            roll = torch.sin(2 * math.pi * phase.clamp(0, 1)) * active
            roll = roll * torch.where(roll > 0, 0.45, 0.12) * (reach / 0.6).clamp(max=1.2)[:, None]
            pitch = pitch + which * roll[..., None]
            planted = planted * (1 - which * active[..., None])
    # A foot that turns about its ball lifts the ankle with it.
    lift = lift + 0.14 * torch.sin(pitch.clamp(min=0)) + 0.06 * torch.sin((-pitch).clamp(min=0))
    return {"place": place[..., :2], "yaw": place[..., 2], "lift": lift, "pitch": pitch, "planted": planted}


def arm_pose(sign: float, curve: Tensor) -> dict[str, Tensor]:
    """Axis-angle (..., 3) of shoulder, elbow and wrist from (..., 6) degrees; ``sign`` is 1 for the left arm."""
    lower, swing, twist, elbow, pronation, wrist = torch.deg2rad(curve).unbind(-1)
    shoulder = axis_rotation(0, -swing) @ axis_rotation(2, -sign * lower) @ axis_rotation(0, twist)
    zero = torch.zeros_like(lower)
    # The collar takes its part of a raised arm.
    raised = ((swing - 0.9).clamp(min=0) + (0.4 - lower).clamp(min=0)) * 0.25
    return {
        "shoulder": roma.rotmat_to_rotvec(shoulder),
        "elbow": torch.stack((pronation, -sign * elbow.clamp(min=0.05), zero), -1),
        "wrist": torch.stack((zero, zero, -sign * wrist), -1),
        "collar": torch.stack((zero, zero, sign * raised), -1),
    }


def _keyed_pose(role: Role, times: Tensor, feet: dict[str, Tensor], draw: Draw) -> Tensor:
    """(N, T, 24, 3) axis-angle of the written-down pose, arms swinging against the legs."""
    count = len(times)
    pose = torch.zeros(*times.shape, 24, 3)

    def curve(keys: Keys, spread: tuple[float, ...] | float, width: int) -> Tensor:
        # Half of the noise is the person's own, half differs from key to key.
        size = torch.as_tensor(spread).expand(width) if isinstance(spread, tuple) else torch.full((width,), spread)
        noise = 0.8 * draw.normal(count, 1, width) + 0.6 * draw.normal(count, len(keys), width)
        return keyed(keys, times, noise * size)

    lean, left, turn = torch.deg2rad(curve(role.torso, _TORSO_NOISE, 3)).unbind(-1)
    bend = torch.stack((lean, turn, -left), -1)
    # Deep bows come from the hips.
    hips = (0.22 + 0.25 * smoothstep((lean.abs() - 0.35) / 0.6))[..., None]
    pose[:, :, 0] = hips * bend
    for name in ("spine1", "spine2", "spine3"):
        pose[:, :, JOINT[name]] = (1 - hips) / 3 * bend
    nod, tilt, look = torch.deg2rad(curve(role.head, _HEAD_NOISE, 3)).unbind(-1)
    for name in ("neck", "head"):
        pose[:, :, JOINT[name]] = 0.5 * torch.stack((nod, look, -tilt), -1)
    yaw = feet["yaw"].mean(2)
    apart = feet["place"][:, :, 1] - feet["place"][:, :, 0]
    stride = apart[..., 0] * torch.cos(yaw) + apart[..., 1] * torch.sin(yaw)  # right foot ahead of the left
    for side, keys, sign in (("left", role.left_arm, 1.0), ("right", role.right_arm, -1.0)):
        arm = curve(keys, _ARM_NOISE, 6).clone()
        idle = (1 - arm[..., 1].abs() / 30).clamp(0, 1)
        arm[..., 1] += sign * idle * 38 * stride * draw.uniform(0.6, 1.2, count)[:, None]
        for joint, value in arm_pose(sign, arm).items():
            pose[:, :, JOINT[f"{side}_{joint}"]] = value
        curl = math.radians(role.curl) + 0.12 * draw.normal(count)
        pose[:, :, JOINT[f"{side}_hand"], 2] = -sign * curl.clamp(min=0)[:, None]
    return pose
