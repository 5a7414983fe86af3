"""Configurations of small detectors, which checks and tests build with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_HGNET = {
    "model_type": "hgnet_v2",
    "embedding_size": 8,
    "hidden_sizes": [16, 24, 32, 48],
    "depths": [1, 1, 1, 1],
    "stem_channels": [3, 8, 8],
    "stage_in_channels": [8, 16, 24, 32],
    "stage_mid_channels": [8, 8, 8, 8],
    "stage_out_channels": [16, 24, 32, 48],
    "stage_num_blocks": [1, 1, 1, 1],
    "stage_light_block": [False, False, False, False],
    "stage_kernel_size": [3, 3, 3, 3],
    "stage_numb_of_layers": [1, 1, 1, 1],
    "out_indices": [2, 3, 4],
}
_RESNET = {
    "model_type": "rt_detr_resnet",
    "embedding_size": 8,
    "hidden_sizes": [8, 24, 32, 48],
    "depths": [1, 1, 1, 1],
    "layer_type": "basic",
    "out_indices": [2, 3, 4],
}
_DINOV2 = {
    "model_type": "rf_detr_dinov2",
    "hidden_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "patch_size": 16,
    "image_size": 64,
    "num_windows": 2,
    "out_indices": [1, 2, 3, 4],
}
_HYBRID = {
    "backbone_config": _HGNET,
    "d_model": 32,
    "num_queries": 10,
    "num_denoising": 0,
    "encoder_hidden_dim": 32,
    "encoder_in_channels": [24, 32, 48],
    "encoder_ffn_dim": 32,
    "encoder_attention_heads": 4,
    "decoder_in_channels": [32, 32, 32],
    "decoder_ffn_dim": 32,
    "decoder_attention_heads": 4,
    "decoder_layers": 2,
}
_WINDOWED = {
    "backbone_config": _DINOV2,
    "d_model": 32,
    "num_queries": 10,
    "group_detr": 2,
    "c2f_num_blocks": 1,
    "decoder_n_points": 2,
    "decoder_ffn_dim": 32,
    "decoder_layers": 2,
    "decoder_self_attention_heads": 4,
    "decoder_cross_attention_heads": 4,
}
_NETWORKS = {
    "rf_detr": _WINDOWED,
    "d_fine": _HYBRID,
    "deimv2": _HYBRID,
    "rt_detr": {**_HYBRID, "backbone_config": _RESNET},
    "rt_detr_v2": {**_HYBRID, "backbone_config": _RESNET},
}

EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    name: {"config": network, "size": (96, 96)} for name, network in _NETWORKS.items()
}
"""Options of a small detector, by model type."""
