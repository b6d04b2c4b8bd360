"""Transfer: layers that learned one task, reused for another.

    reuse         builds a network from the lower layers of another and a new head
    fine_tune     trains it: the head first, then the reused layers, from the top down
    search        tries how many layers to keep, against training from scratch

Weights from outside come in by `evenkeel.models.load_weights_from`. Networks that learn without
labels first are no matter of this package, nor is what an epoch does.
"""

from evenkeel.transfer.comparison import Candidate, Search
from evenkeel.transfer.fine_tuning import fine_tune
from evenkeel.transfer.reusing import reuse
from evenkeel.transfer.searching import search
from evenkeel.transfer.stages import FineTuning, Stage

__all__ = ["Candidate", "FineTuning", "Search", "Stage", "fine_tune", "reuse", "search"]
