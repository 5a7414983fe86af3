"""detectron2's networks with made-up weights: the weights, the image, and every stage of ours against its numbers.

`tests/reference/detectron2` holds what detectron2 0.6 gave for configurations `mask_rcnn_R_50_FPN_3x`,
`keypoint_rcnn_R_50_FPN_3x` and `panoptic_fpn_R_50_3x`: corners and statistics of every layer, and all detections.

Letters: B images, N rows, H W pixels.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from scenekit.keys import FEATURES, KEYPOINTS, MASKS, OBJECTS, PANOPTIC, PROPOSALS, RPN_FEATURES, SEMANTIC
from scenekit.model.board import Board
from scenekit.model.preprocess import pack
from scenekit.model.scene_model import Outputs, SceneModel
from scenekit.scene import Scene
from scenekit.structures import Regions

REFERENCE = Path(__file__).resolve().parent.parent / "reference" / "detectron2"

NETWORKS = ("mask", "keypoint", "panoptic")

FEATURE, RPN, BOX, SCORE, HEAD = 1e-4, 5e-5, 5e-3, 5e-5, 2e-4
"""Tolerances, about ten times what float32 sums in another order differ by; boxes are in pixels."""

PIXELS, POINTS, POINT = 1e-3, 0.02, 1e-2
"""Share of pixels of a mask or map, and of keypoints, that may differ; a keypoint differs from `POINT` pixels on."""

GAINS = {
    "stem.conv1": 0.025,
    "fpn_lateral": 0.5,
    "fpn_": 1.0,
    "objectness_logits": 0.5,
    "anchor_deltas": 0.1,
    "cls_score": 1.0,
    "bbox_pred": 1.0,
    "mask_head.predictor": 0.5,
    "mask_head.deconv": 2.8,
    "score_lowres": 0.5,
    "sem_seg_head.predictor": 1.0,
}
"""How strong the weights of a layer are, by the first of these that its name holds; sqrt(2) for all others."""


def shapes(network: str, folder: Path = REFERENCE) -> dict[str, list[int]]:
    """Names and shapes of a state dict of detectron2."""
    return dict(json.loads((folder / f"{network}_state_dict.json").read_text()))


def reference(network: str, folder: Path = REFERENCE) -> dict[str, np.ndarray[Any, Any]]:
    """What detectron2 gave, by stage. That of "panoptic" leaves out what equals "mask", whose weights it shares."""
    with np.load(folder / f"{network}.npz") as arrays:
        own = dict(arrays)
    return {**reference("mask", folder), **own} if network == "panoptic" else own


def weights(entries: Mapping[str, list[int]], salt: str = "") -> dict[str, np.ndarray[Any, Any]]:
    """Weights by the rule that the reference was made with: drawn from a seed of each entry's own name."""
    return {name: _drawn(name, shape, salt).astype(np.float32) for name, shape in entries.items()}


def _drawn(name: str, shape: list[int], salt: str) -> Any:
    z = np.random.default_rng(zlib.crc32((name + salt).encode())).standard_normal(shape)
    if name.endswith("running_mean"):
        return 0.05 * z
    if name.endswith("running_var"):
        return np.exp(0.2 * z)
    if len(shape) == 1 and name.endswith(".weight"):
        return (1 + 0.1 * z) * (0.3 if name.endswith("conv3.norm.weight") else 1)
    if name.endswith(".bias"):
        return 0.05 * z
    gain = next((gain for part, gain in GAINS.items() if part in name), math.sqrt(2))
    return z * gain / math.sqrt(math.prod(shape[1:]))


def picture(height: int = 320, width: int = 416, seed: int = 7) -> UInt8[Tensor, "3 H W"]:
    """Noisy tiles of 16 pixels, as RGB."""
    source = np.random.default_rng(seed)
    tiles = source.integers(0, 256, (math.ceil(height / 16), math.ceil(width / 16), 3))
    smooth = tiles.repeat(16, axis=0).repeat(16, axis=1)[:height, :width]
    bgr = np.clip(smooth + source.integers(-25, 26, (height, width, 3)), 0, 255).astype(np.uint8)
    return torch.from_numpy(np.ascontiguousarray(bgr[..., ::-1].transpose(2, 0, 1)))


def off_by_the_rule(state: Mapping[str, np.ndarray[Any, Any]], expected: Mapping[str, Any]) -> float:
    """The largest relative difference in the sums of the entries that the reference has sums of."""
    names = [str(name) for name in expected["weights_check_names"]]
    sums = np.array([np.abs(state[name].astype(np.float64)).sum() for name in names])
    return float(np.abs(sums / expected["weights_check_abs_sums"] - 1).max())


@dataclass(frozen=True)
class Difference:
    """The largest difference in one stage, in the stage's own unit, and how large it may be."""

    stage: str
    value: float
    tolerance: float

    @property
    def fine(self) -> bool:
        """Whether the stage agrees; not where it is not a number."""
        return self.value <= self.tolerance


@torch.no_grad()
def differences(
    model: SceneModel, reference: Mapping[str, Any], image: UInt8[Tensor, "3 H W"], size: tuple[int, int] = (480, 624)
) -> list[Difference]:
    """Every stage that the reference knows; `image` enters as it is, and results are asked for at `size`."""
    batch = pack([image], model.config.input, original_sizes=[size])
    outputs = model(batch)
    (scene,) = model.scenes(outputs, threshold=0.0)
    found = _Comparison(model, reference, outputs, scene)
    return [*found.core(), *found.detections(), *found.heads()]


@dataclass(frozen=True)
class _Comparison:
    model: SceneModel
    reference: Mapping[str, Any]
    outputs: Outputs
    scene: Scene

    def core(self) -> Iterator[Difference]:
        """From the normalized image to the box head."""
        batch = self.outputs.board.images
        yield self.equal("padded_input_shape", torch.tensor(batch.pixels.shape))
        if "input_stats" not in self.reference:
            return
        yield from self.layer("input", batch.pixels, FEATURE)
        stages: Any = self.model.stages
        for level, features in enumerate(stages["backbone"].net.backbone(batch.pixels), start=2):
            yield from self.layer(f"feat_res{level}", features, FEATURE)
        for level, features in enumerate(self.outputs.board[FEATURES].maps, start=2):
            yield from self.layer(f"feat_p{level}", features, FEATURE)
        yield from self.proposals(stages["proposals"])
        yield from self.box_head(stages["detection"])

    def proposals(self, stage: Any) -> Iterator[Difference]:
        """Outputs of the region proposal network, anchors, the best boxes before and after suppression."""
        features = self.outputs.board[RPN_FEATURES]
        anchors = stage.anchors(features, self.outputs.board.images.padded_size)
        candidates, scores, origins = [], [], []
        levels = zip(features.maps, anchors, stage.predict(features), strict=True)
        for level, (maps, boxes, predicted) in enumerate(levels, start=2):
            height, width = maps.shape[2:]
            logits = predicted.logits.unflatten(1, (height, width, -1)).permute(0, 3, 1, 2)
            deltas = predicted.deltas.reshape(len(maps), height, width, -1).permute(0, 3, 1, 2)
            yield from self.layer(f"rpn_p{level}_objectness", logits, RPN)
            yield from self.layer(f"rpn_p{level}_deltas", deltas, RPN)
            if f"anchors_p{level}_count" in self.reference:
                yield self.equal(f"anchors_p{level}_count", torch.tensor(len(boxes)))
                yield self.value(f"anchors_p{level}_first12", boxes[:12], BOX)
                yield self.value(f"anchors_p{level}_last3", boxes[-3:], BOX)
            candidates.append(stage.coder.decode(predicted.deltas[0], boxes))
            scores.append(predicted.logits[0])
            origins.append(torch.full((len(boxes),), level - 2))
        best = torch.cat(scores).topk(100)
        yield self.value("img0_pre_nms_top100_logits", best.values, RPN)
        yield self.equal("img0_pre_nms_top100_level", torch.cat(origins)[best.indices])
        yield self.value("img0_pre_nms_top100_boxes", torch.cat(candidates)[best.indices], BOX)
        found: Regions = self.outputs.board[PROPOSALS]
        yield self.equal("img0_num_proposals", torch.tensor(len(found)))
        yield self.value("img0_proposals_top100", found.boxes[:100], BOX)
        yield self.value("img0_proposals_top100_logits", torch.logit(found.scores[:100]), RPN)

    def box_head(self, stage: Any) -> Iterator[Difference]:
        """Pooled features, hidden features, class logits and offsets of the best proposals."""
        found: Regions = self.outputs.board[PROPOSALS]
        pooled = self.outputs.board.pool(found, 7)
        hidden = stage.head(pooled)
        logits, deltas = stage.predictor(hidden)
        levels = self.model.pooler.level_of(found.boxes, self.outputs.board[FEATURES].strides[:4]) + 2
        yield self.equal("box_pooler_level_first20", levels[:20])
        yield self.value("box_pooled_first3", pooled[:3, :8], HEAD)
        yield from self.layer("box_pooled", pooled[:20], HEAD)
        yield self.value("box_head_first20", hidden[:20, :64], HEAD)
        yield self.value("cls_logits_first20", logits[:20], HEAD)
        yield self.value("box_deltas_first20", deltas.flatten(1)[:20, :40], HEAD)
        yield from self.layer("box_deltas", deltas[:20], HEAD)

    def detections(self) -> Iterator[Difference]:
        """Boxes, scores and classes in network pixels."""
        found, rows = self.outputs.board[OBJECTS], self.rows
        yield self.equal("img0_det_classes", found.labels[rows])
        yield self.value("img0_det_boxes", found.boxes[rows], BOX)
        yield self.value("img0_det_scores", found.scores[rows], SCORE)

    def heads(self) -> Iterator[Difference]:
        """What each head gives, on the network and in the finished scene."""
        if "img0_post_boxes" in self.reference:
            yield self.value("img0_post_boxes", self.scene.objects.boxes[self.rows], BOX)
        if "img0_post_scores" in self.reference:
            yield self.value("img0_post_scores", self.scene.objects.scores[self.rows], SCORE)
        if "img0_mask_pooled_first2" in self.reference:
            yield from self.masks()
        if "img0_keypoints" in self.reference:
            yield from self.keypoints()
        if "sem_logits_stride4_stats" in self.reference:
            yield from self.semantic()
            yield from self.panoptic()

    def masks(self) -> Iterator[Difference]:
        """Features, logits, and masks in pixels of the requested size."""
        board, rows = self.outputs.board, self.rows
        logits = self.model.heads["masks"](self.best_five)
        own = logits[torch.arange(len(logits)), board[OBJECTS].labels[rows[:5]]]
        yield self.value("img0_mask_pooled_first2", board.pool(OBJECTS, 14)[rows[:2], :8], HEAD)
        yield self.value("img0_mask_logits_first5", own, HEAD)
        yield self.value("img0_mask_logits_first5_all_class_mean", logits.mean(dim=(2, 3)), HEAD)
        masks = self.scene[MASKS][rows]
        yield self.equal("img0_post_mask_shape", torch.tensor((len(masks), *masks.size)))
        wanted = torch.from_numpy(self.reference["img0_post_mask_areas"])
        yield Difference("img0_post_mask_areas", float((masks.area - wanted).abs().sum() / wanted.sum()), PIXELS)
        first = masks.dense[:5]
        packed = self.reference["img0_post_masks_first5_packed"]
        expected = torch.from_numpy(np.unpackbits(packed, count=first.numel()).reshape(first.shape)).bool()
        yield Difference("img0_post_masks_first5_packed", float((first != expected).sum() / expected.sum()), PIXELS)

    def keypoints(self) -> Iterator[Difference]:
        """Features, heat maps, and points with scores before and after resizing."""
        board, rows = self.outputs.board, self.rows
        maps = self.model.heads["keypoints"](self.best_five)
        yield self.value("img0_kp_pooled_first2", board.pool(OBJECTS, 14)[rows[:2], :8], HEAD)
        yield self.value("img0_keypoint_heatmaps_first2", maps[:2], HEAD)
        yield self.statistics("img0_keypoint_heatmaps_first5_stats", maps, HEAD)
        for name, points in (("img0_keypoints", board[KEYPOINTS]), ("img0_post_keypoints", self.scene[KEYPOINTS])):
            wanted = torch.from_numpy(self.reference[name])
            moved = (points.xy[rows] - wanted[..., :2]).abs().amax(-1) > POINT
            yield Difference(name, float(moved.float().mean()), POINTS)
            scores = (points.scores[rows] - wanted[..., 2]).abs()
            yield Difference(f"{name}_scores", _largest(scores[~moved]), SCORE)

    def semantic(self) -> Iterator[Difference]:
        """Logits, and the label map in pixels of the requested size."""
        logits = self.outputs.board[SEMANTIC]
        yield from self.layer("sem_logits_stride4", logits, HEAD)
        height, width = self.outputs.board.images.sizes[0]
        full = F.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False)[..., :height, :width]
        full = F.interpolate(full, size=self.scene.size, mode="bilinear", align_corners=False)[0]
        yield self.equal("img0_sem_seg_shape", torch.tensor(full.shape))
        yield self.value("img0_sem_seg_corner", full[:, :8, :8], HEAD)
        things = len(self.scene.vocabulary.things)
        classes = (self.scene[SEMANTIC] - things + 1).clamp(min=0)
        yield self.share("img0_sem_seg_argmax", classes)

    def panoptic(self) -> Iterator[Difference]:
        """Ids, and what the segments are."""
        found = self.scene[PANOPTIC]
        yield self.share("img0_panoptic_seg", found.ids)
        wanted = json.loads(str(self.reference["img0_panoptic_segments_json"]))
        things = len(self.scene.vocabulary.things)
        told = [
            (segment.id, segment.is_thing, segment.label if segment.is_thing else segment.label - things + 1)
            for segment in found.segments
        ]
        expected = [(one["id"], one["isthing"], one["category_id"]) for one in wanted]
        yield Difference("img0_panoptic_segments_json", float(len(set(told) ^ set(expected))), 0.0)

    @property
    def rows(self) -> Int[Tensor, " N"]:
        """Our row for each detection of the reference: the nearest box of its class."""
        found: Regions = self.outputs.board[OBJECTS]
        wanted = torch.from_numpy(self.reference["img0_det_boxes"])
        classes = torch.from_numpy(self.reference["img0_det_classes"])
        distance = torch.cdist(wanted, found.boxes) + 1e6 * (classes[:, None] != found.labels)
        return distance.argmin(dim=1)

    @property
    def best_five(self) -> Board:
        """What a head sees of the first five detections."""
        found: Regions = self.outputs.board[OBJECTS]
        return self.outputs.board.view("head", (FEATURES, OBJECTS), {OBJECTS: found.subset(self.rows[:5])})

    def layer(self, name: str, values: Tensor, tolerance: float) -> Iterator[Difference]:
        """Corner, end and statistics of a layer, as far as the reference has them."""
        if f"{name}_shape" in self.reference:
            yield self.equal(f"{name}_shape", torch.tensor(values.shape))
        if f"{name}_corner" in self.reference:
            channels = self.reference[f"{name}_corner"].shape[1]
            yield self.value(f"{name}_corner", values[:, :channels, :8, :8], tolerance)
        if f"{name}_end" in self.reference:
            yield self.value(f"{name}_end", values[:, -8:, -8:, -8:], tolerance)
        if f"{name}_stats" in self.reference:
            yield self.statistics(f"{name}_stats", values[None], tolerance)

    def statistics(self, name: str, values: Float[Tensor, "n ..."], tolerance: float) -> Difference:
        """Statistics of each of n values; the reference has sums of absolute values, which are compared as means."""
        wanted = torch.from_numpy(self.reference[name]).reshape(-1, 5).clone()
        wanted[:, 4] /= values[0].numel()
        return Difference(name, _largest((torch.stack([_stats(one) for one in values]) - wanted).abs()), tolerance)

    def value(self, name: str, values: Tensor, tolerance: float) -> Difference:
        """The largest absolute difference; that of another shape is infinite."""
        wanted = torch.from_numpy(np.asarray(self.reference[name]))
        if wanted.shape != values.shape:
            return Difference(name, math.inf, tolerance)
        return Difference(name, _largest((values.double() - wanted.double()).abs()), tolerance)

    def equal(self, name: str, values: Tensor) -> Difference:
        """Numbers that agree in full."""
        return self.value(name, values, 0.0)

    def share(self, name: str, values: Int[Tensor, "H W"]) -> Difference:
        """Share of the pixels that differ."""
        wanted = torch.from_numpy(self.reference[name].astype(np.int64))
        return Difference(name, float((values != wanted).double().mean()), PIXELS)


def _stats(values: Tensor) -> Float[Tensor, "5"]:
    """Mean, deviation, least, greatest, and the mean of the absolute values."""
    values = values.double()
    return torch.stack([values.mean(), values.std(correction=0), values.min(), values.max(), values.abs().mean()])


def _largest(values: Tensor) -> float:
    """0 where there are no values."""
    return float(values.max()) if values.numel() else 0.0
