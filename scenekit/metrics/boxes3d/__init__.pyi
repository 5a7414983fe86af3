# The public names of this protocol: type checkers read this file, and so does __init__.py.
from .errors import ERRORS as ERRORS
from .errors import Box3DErrors as Box3DErrors
from .errors import box_errors as box_errors
from .errors import yaw_errors as yaw_errors
