# The public names of this protocol: type checkers read this file, and so does __init__.py.
from .clear import Clear as Clear
from .files import score_mot_files as score_mot_files
from .hota import ALPHAS as ALPHAS
from .hota import Hota as Hota
from .identity import Identity as Identity
from .rules import MOT_CLASSES as MOT_CLASSES
from .rules import Rules as Rules
from .rules import kitti_rules as kitti_rules
from .rules import mot_challenge_rules as mot_challenge_rules
from .rules import paired as paired
from .score import TrackingScores as TrackingScores
from .sequence import MotObjects as MotObjects
from .sequence import Sequence as Sequence
