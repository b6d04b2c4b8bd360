"""Callbacks: what listens to a run, steers it, writes it down, or ends it.

`Callback` is the contract and says when each hook is called. Stopping: `EarlyStopping`,
`TerminateOnNaN`. The learning rate: `LearningRateScheduler`, `ReduceLROnPlateau`. Files:
`ModelCheckpoint`, `CSVLogger`, `TensorBoard`. `LambdaCallback` makes one out of functions.
"""

from evenkeel.callbacks.csv_logger import CSVLogger
from evenkeel.callbacks.early_stopping import EarlyStopping
from evenkeel.callbacks.lambda_callback import LambdaCallback
from evenkeel.callbacks.learning_rate_scheduler import LearningRateScheduler
from evenkeel.callbacks.model_checkpoint import ModelCheckpoint
from evenkeel.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from evenkeel.callbacks.tensorboard import TensorBoard
from evenkeel.callbacks.terminate_on_nan import TerminateOnNaN
from evenkeel.engine.hooks import Callback

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
]
