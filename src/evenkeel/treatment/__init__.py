"""Treatment: from what the doctor prescribes back to a model, by experiment.

`repair` is the word at the top. `network`, `training` and `subject` make a model from a treated
patient; `experiment` trains arms; `regimen` tries remedies in order; `record` is what comes of it;
`source` writes it down as code. What counts as better is judgement, in `doctor.scoring` and
`doctor.comparison`.
"""

from evenkeel.treatment.record import Attempt, Score, Treatment
from evenkeel.treatment.repairing import repair

__all__ = ["Attempt", "Score", "Treatment", "repair"]
