# The public names of this protocol: type checkers read this file, and so does __init__.py.
from .average_precision import DenseCaptioning as DenseCaptioning
from .files import score_dense_caption_files as score_dense_caption_files
from .language import CORPUS_SCORES as CORPUS_SCORES
from .language import LANGUAGE_SCORES as LANGUAGE_SCORES
from .language import LanguageScore as LanguageScore
from .language import bleu_4 as bleu_4
from .language import cider_d as cider_d
from .language import language_score as language_score
from .language import meteor as meteor
from .language import meteor_of_sets as meteor_of_sets
from .language import rouge_l as rouge_l
from .language import set_score as set_score
from .language import unigram_f as unigram_f
from .language import words as words
