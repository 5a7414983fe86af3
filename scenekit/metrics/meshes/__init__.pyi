# The public names of this protocol: type checkers read this file, and so does __init__.py.
from .average_precision import THRESHOLDS as THRESHOLDS
from .average_precision import ShapeAP as ShapeAP
from .average_precision import Surface as Surface
from .average_precision import all_point_ap as all_point_ap
from .average_precision import surface_metrics as surface_metrics
