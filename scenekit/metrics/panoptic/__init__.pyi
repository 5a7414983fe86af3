# The public names of this protocol: type checkers read this file, and so does __init__.py.
from .files import read_id_map as read_id_map
from .files import score_panoptic_files as score_panoptic_files
from .quality import PanopticCategory as PanopticCategory
from .quality import PanopticQuality as PanopticQuality
from .quality import SegmentInfo as SegmentInfo
