# The public names of this protocol: type checkers read this file, and so does __init__.py.
from .average_precision import CLASSES as CLASSES
from .average_precision import DIFFICULTIES as DIFFICULTIES
from .average_precision import DONT_CARE as DONT_CARE
from .average_precision import LOOK_ALIKE as LOOK_ALIKE
from .average_precision import TYPES as TYPES
from .average_precision import Difficulty as Difficulty
from .average_precision import KittiAP as KittiAP
from .average_precision import KittiObjects as KittiObjects
from .files import objects_of as objects_of
from .files import read_objects as read_objects
from .files import score_kitti_files as score_kitti_files
