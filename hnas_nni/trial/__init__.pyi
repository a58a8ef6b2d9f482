from .evaluation import Training as Training
from .evaluation import TrialResult as TrialResult
from .evaluation import evaluate as evaluate
from .settings import TrialSettings as TrialSettings
