# The public names of this protocol: type checkers read this file, and so does __init__.py.
from .average_precision import COCO_SIGMAS as COCO_SIGMAS
from .average_precision import MAX_DETECTIONS as MAX_DETECTIONS
from .average_precision import METRICS as METRICS
from .average_precision import CocoAP as CocoAP
from .average_precision import CocoObjects as CocoObjects
from .average_precision import Kind as Kind
from .files import score_files as score_files
