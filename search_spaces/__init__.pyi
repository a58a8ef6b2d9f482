from .compat.experiment import MendedNasExperiment as MendedNasExperiment
from .json_file import search_space_path as search_space_path
from .json_file import search_space_text as search_space_text
from .labels import decision_labels as decision_labels
from .space import HNASSpace as HNASSpace
from .space import search_space_json as search_space_json
