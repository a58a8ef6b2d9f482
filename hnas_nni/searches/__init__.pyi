from .nni.database import ExperimentError as ExperimentError
from .nni.experiment import Experiment as Experiment
from .nni.experiment import read_experiment as read_experiment
from .nni.finding import find_experiment as find_experiment
from .opening import Search as Search
from .opening import open_search as open_search
from .record import MeasuredArchitecture as MeasuredArchitecture
from .record import Trial as Trial
