"""Tracking: ids that last over the images of a stream, smoothing of values by object, files and scores of tracks."""

from scenekit.tracking.saving import save_tracks
from scenekit.tracking.scoring import score_tracks
from scenekit.tracking.track import track
from scenekit.tracking.tracker import Tracker

__all__ = ["Tracker", "save_tracks", "score_tracks", "track"]
