from .run import Training as Training
from .run import train as train
from .settings import TrainingSettings as TrainingSettings
