# The public names of this protocol: type checkers read this file, and so does __init__.py.
from .files import read_label_map as read_label_map
from .files import score_label_maps as score_label_maps
from .mean_iou import SemanticSegmentation as SemanticSegmentation
