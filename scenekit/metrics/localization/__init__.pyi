# The public names of this protocol: type checkers read this file, and so does __init__.py.
from .error import ObjectLocalization as ObjectLocalization
from .files import score_localization_files as score_localization_files
