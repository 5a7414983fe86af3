# The public names of this protocol: type checkers read this file, and so does __init__.py.
from .arrays import LAST_PIXEL as LAST_PIXEL
from .arrays import GraphPrediction as GraphPrediction
from .arrays import GraphTruth as GraphTruth
from .files import score_scene_graph_files as score_scene_graph_files
from .recall import CUTOFFS as CUTOFFS
from .recall import MODES as MODES
from .recall import Mode as Mode
from .recall import SceneGraphRecall as SceneGraphRecall
from .recall import Triplets as Triplets
from .recall import read_mode as read_mode
