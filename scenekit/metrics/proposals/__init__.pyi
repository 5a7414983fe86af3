# The public names of this protocol: type checkers read this file, and so does __init__.py.
from .files import score_proposal_files as score_proposal_files
from .recall import COUNTS as COUNTS
from .recall import LIMITS as LIMITS
from .recall import ProposalRecall as ProposalRecall
