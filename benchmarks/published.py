"""Published networks of transformers, for one output each: the smallest official size, random weights, no downloads.

| network | licence of code and weights | source of its sizes |
| --- | --- | --- |
| D-FINE-N | Apache-2.0 | Peng et al., D-FINE, 2024; ustc-community/dfine-nano-coco |
| RF-DETR-N | Apache-2.0 | Robinson et al., RF-DETR, 2025; Roboflow/rf-detr-nano |
| Mask2Former Swin-T | MIT | Cheng et al., Mask2Former, 2022; facebook/mask2former-swin-tiny-coco-panoptic |
| EoMT-S | MIT | Kerssies et al., EoMT, 2025; tue-mps/coco_panoptic_eomt_small_640_2x |
| ViTPose++-S | Apache-2.0 | Xu et al., ViTPose++, 2023; usyd-community/vitpose-plus-small |
| GIT-B | MIT | Wang et al., GIT, 2022; microsoft/git-base-coco |
| CLIP ViT-B/32 | MIT | Radford et al., CLIP, 2021; openai/clip-vit-base-patch32 |

The code in transformers is Apache-2.0 as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from measuring import Run
from torch import Tensor, nn
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    DFineConfig,
    DFineForObjectDetection,
    EomtConfig,
    EomtForUniversalSegmentation,
    EomtImageProcessor,
    GitConfig,
    GitForCausalLM,
    HGNetV2Config,
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    Mask2FormerImageProcessor,
    RfDetrConfig,
    RfDetrForObjectDetection,
    RfDetrImageProcessor,
    RTDetrImageProcessor,
    SwinConfig,
    VitPoseBackboneConfig,
    VitPoseConfig,
    VitPoseForPoseEstimation,
    VitPoseImageProcessor,
)
from transformers.models.rf_detr.configuration_rf_detr import RfDetrDinov2Config

WORDS = 8
"""Tokens of a caption."""


@dataclass(frozen=True)
class Work:
    """What the networks get: an image, and the regions of those that run once per region."""

    image: Tensor
    """[3 H W], 0..255."""
    objects: Tensor
    """Boxes [N 4] of objects, which are captioned and get attributes."""
    persons: Tensor
    """Boxes [M 4] of persons, which get keypoints."""
    attributes: int
    """Number of attributes."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.image.shape[1], self.image.shape[2]

    @property
    def crops(self) -> list[Tensor]:
        """The image in each box of an object."""
        return [self.image[:, y0:y1, x0:x1] for x0, y0, x1, y1 in self.objects.round().int().tolist()]


Built = tuple[nn.Module, Run]


@dataclass(frozen=True)
class Published:
    """A published network."""

    name: str
    gives: tuple[str, ...]
    """Its outputs."""
    side: int
    """Official height and width of its input, in pixels; of networks that run once per region that of a crop."""
    per: str
    """What it runs once for."""
    licence: str
    build: Callable[[Work], Built]
    """Returns the network, and its run from an image in memory to postprocessed outputs."""


def d_fine(work: Work) -> Built:
    """Build D-FINE-N."""
    backbone = HGNetV2Config(
        hidden_sizes=[128, 256, 512, 1024],
        stem_channels=[3, 16, 16],
        stage_in_channels=[16, 64, 256, 512],
        stage_mid_channels=[16, 32, 64, 128],
        stage_out_channels=[64, 256, 512, 1024],
        stage_num_blocks=[1, 1, 2, 1],
        stage_numb_of_layers=[3, 3, 3, 3],
        use_learnable_affine_block=True,
        out_indices=[3, 4],
    )
    config = DFineConfig(
        backbone_config=backbone,
        num_labels=80,
        encoder_in_channels=[512, 1024],
        feat_strides=[16, 32],
        encode_proj_layers=[1],
        encoder_hidden_dim=128,
        encoder_ffn_dim=512,
        hidden_expansion=0.34,
        depth_mult=0.5,
        d_model=128,
        decoder_in_channels=[128, 128],
        decoder_ffn_dim=512,
        decoder_layers=3,
        decoder_n_points=[6, 6],
        num_feature_levels=2,
    )
    return _detector(DFineForObjectDetection(config), RTDetrImageProcessor(size=_square(640)), work)


def rf_detr(work: Work) -> Built:
    """Build RF-DETR-N."""
    backbone = RfDetrDinov2Config(
        hidden_size=384,
        num_attention_heads=6,
        image_size=384,
        patch_size=16,
        num_windows=2,
        out_features=["stage3", "stage6", "stage9", "stage12"],
    )
    config = RfDetrConfig(backbone_config=backbone, num_labels=91, decoder_layers=2, decoder_n_points=2)
    return _detector(RfDetrForObjectDetection(config), RfDetrImageProcessor(size=_square(384)), work)


def _detector(network: nn.Module, processor: Any, work: Work) -> Built:
    def run() -> Any:
        outputs = network(**processor(images=work.image, return_tensors="pt"))
        return processor.post_process_object_detection(outputs, target_sizes=[work.size])

    return network.eval(), run


def mask2former(work: Work) -> Built:
    """Build Mask2Former Swin-T, whose published processor resizes to 384 x 384."""
    stages = ["stage1", "stage2", "stage3", "stage4"]
    backbone = SwinConfig(depths=[2, 2, 6, 2], drop_path_rate=0.3, out_features=stages)
    network = Mask2FormerForUniversalSegmentation(Mask2FormerConfig(backbone_config=backbone, num_labels=133))
    return _segmenter(network, Mask2FormerImageProcessor(size=_square(384)), work)


def eomt(work: Work) -> Built:
    """Build EoMT-S."""
    config = EomtConfig(
        hidden_size=384, num_hidden_layers=12, num_attention_heads=6, num_blocks=3, num_queries=200, num_labels=133
    )
    network = EomtForUniversalSegmentation(config)
    network.attn_mask_probs.zero_()  # training phases masked attention out
    return _segmenter(network, EomtImageProcessor(do_pad=True), work)


def _segmenter(network: nn.Module, processor: Any, work: Work) -> Built:
    """Return a network whose one pass is postprocessed to instances, classes of pixels, and panoptic segments."""

    def run() -> Any:
        inputs = processor(images=work.image, return_tensors="pt")
        outputs = network(pixel_values=inputs["pixel_values"])
        kinds = ("instance", "semantic", "panoptic")
        return [
            getattr(processor, f"post_process_{kind}_segmentation")(outputs, target_sizes=[work.size]) for kind in kinds
        ]

    return network.eval(), run


def vitpose(work: Work) -> Built:
    """Build ViTPose++-S, which runs once per person."""
    backbone = VitPoseBackboneConfig(hidden_size=384, num_experts=6, part_features=96, out_indices=[12])
    config = VitPoseConfig(backbone_config=backbone, num_labels=17, use_simple_decoder=False)
    network, processor = VitPoseForPoseEstimation(config).eval(), VitPoseImageProcessor()
    boxes = [torch.cat((work.persons[:, :2], work.persons[:, 2:] - work.persons[:, :2]), dim=1).numpy()]
    expert = torch.zeros(len(work.persons), dtype=torch.int64)

    def run() -> Any:
        inputs = processor(images=work.image, boxes=boxes, return_tensors="pt")
        return processor.post_process_pose_estimation(network(**inputs, dataset_index=expert), boxes=boxes)

    return network, run


def git(work: Work) -> Built:
    """Build GIT-B, which runs once per object, in one batch; its tokens are not turned into text."""
    network, processor = GitForCausalLM(GitConfig(vision_config={})).eval(), CLIPImageProcessor()

    def run() -> Any:
        pixels = processor(images=work.crops, return_tensors="pt")["pixel_values"]
        return network.generate(pixel_values=pixels, min_new_tokens=WORDS, max_new_tokens=WORDS, do_sample=False)

    return network, run


def clip(work: Work) -> Built:
    """Build CLIP ViT-B/32, which runs once per object, in one batch; texts of attributes are embedded in advance."""
    network, processor = CLIPVisionModelWithProjection(CLIPVisionConfig()).eval(), CLIPImageProcessor()
    texts = nn.functional.normalize(torch.randn(work.attributes, 512), dim=1)

    def run() -> Tensor:
        embedded: Tensor = network(**processor(images=work.crops, return_tensors="pt")).image_embeds
        return nn.functional.normalize(embedded, dim=1) @ texts.T

    return network, run


def _square(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


SEGMENTS = ("masks", "semantic", "panoptic")
PUBLISHED: Sequence[Published] = (
    Published("D-FINE-N", ("boxes",), 640, "image", "Apache-2.0", d_fine),
    Published("RF-DETR-N", ("boxes",), 384, "image", "Apache-2.0", rf_detr),
    Published("Mask2Former Swin-T", SEGMENTS, 384, "image", "MIT", mask2former),
    Published("EoMT-S", SEGMENTS, 640, "image", "MIT", eomt),
    Published("ViTPose++-S", ("keypoints",), 256, "person", "Apache-2.0", vitpose),
    Published("GIT-B", ("captions",), 224, "object", "MIT", git),
    Published("CLIP ViT-B-32", ("attributes",), 224, "object", "MIT", clip),
)
"""For each kind of output, the networks that give it; crops of persons are 192 pixels wide."""
