from .engine import WeightSharingSearch as WeightSharingSearch
from .settings import MINIATURE as MINIATURE
from .settings import SearchSettings as SearchSettings
