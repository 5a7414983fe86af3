# The public names of this protocol: type checkers read this file, and so does __init__.py.
from .average_precision import MODES as MODES
from .average_precision import Mode as Mode
from .average_precision import Omni3DAP as Omni3DAP
from .average_precision import Omni3DFilter as Omni3DFilter
from .average_precision import Omni3DObjects as Omni3DObjects
from .files import Boxes2D as Boxes2D
from .files import box_of as box_of
from .files import is_ignored as is_ignored
from .files import matched_box as matched_box
from .files import read_kind as read_kind
from .files import score_omni3d_files as score_omni3d_files
