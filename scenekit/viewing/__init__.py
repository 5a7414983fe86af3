"""Looking at scenes: pictures layer by layer, and a report in one HTML file."""

from scenekit.viewing.birds_eye import draw_birds_eye
from scenekit.viewing.cuboids import draw_boxes3d
from scenekit.viewing.draw import (
    Layer,
    draw_boxes,
    draw_keypoints,
    draw_layers,
    draw_masks,
    draw_panoptic,
    draw_scene,
    draw_semantic,
)
from scenekit.viewing.graph_picture import graph_note, graph_svg
from scenekit.viewing.palette import label_color, object_color
from scenekit.viewing.recordings import Recording, recording
from scenekit.viewing.report import ReportEntry, write_report
from scenekit.viewing.solids import save_mesh
from scenekit.viewing.surfaces import draw_meshes

__all__ = [
    "Layer",
    "Recording",
    "ReportEntry",
    "draw_birds_eye",
    "draw_boxes",
    "draw_boxes3d",
    "draw_keypoints",
    "draw_layers",
    "draw_masks",
    "draw_meshes",
    "draw_panoptic",
    "draw_scene",
    "draw_semantic",
    "graph_note",
    "graph_svg",
    "label_color",
    "object_color",
    "recording",
    "save_mesh",
    "write_report",
]
