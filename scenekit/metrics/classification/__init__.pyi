# The public names of this protocol: type checkers read this file, and so does __init__.py.
from .accuracy import ImageClassification as ImageClassification
from .files import score_class_files as score_class_files
