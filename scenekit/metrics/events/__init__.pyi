# The public names of this protocol: type checkers read this file, and so does __init__.py.
from .captioning import EventCaptioning as EventCaptioning
from .files import read_event_references as read_event_references
from .files import read_event_results as read_event_results
from .files import score_event_files as score_event_files
from .files import write_event_references as write_event_references
from .files import write_event_results as write_event_results
from .soda import ordered_matching as ordered_matching
from .soda import soda as soda
from .spans import DescribedSpans as DescribedSpans
from .spans import temporal_iou as temporal_iou
