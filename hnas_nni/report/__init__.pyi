from .drawing import draw_genotype as draw_genotype
from .formats import picture_format as picture_format
from .text import describe as describe
from .text import network_line as network_line
