"""Drawings of scenes, layer by layer, and a report in one HTML file."""

from scenekit.visualization.draw import (
    draw_boxes,
    draw_layers,
    draw_scene,
    draw_views,
)
from scenekit.visualization.export.mesh_scene import save_mesh
from scenekit.visualization.export.rerun_recording import Recording, recording
from scenekit.visualization.graph.drawing import graph_note, graph_svg
from scenekit.visualization.palette import label_color, object_color
from scenekit.visualization.report.page import ReportEntry, write_report
from scenekit.visualization.scene_canvas import Canvas, Layer, on_canvas

__all__ = [
    "Canvas",
    "Layer",
    "Recording",
    "ReportEntry",
    "draw_boxes",
    "draw_layers",
    "draw_scene",
    "draw_views",
    "graph_note",
    "graph_svg",
    "label_color",
    "object_color",
    "on_canvas",
    "recording",
    "save_mesh",
    "write_report",
]
