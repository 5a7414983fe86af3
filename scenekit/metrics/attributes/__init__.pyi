# The public names of this protocol: type checkers read this file, and so does __init__.py.
from .recognition import AttributeRecognition as AttributeRecognition
