"""Numbers of short trainings, each by its own name, so that rules can be asked with them alone."""

from __future__ import annotations

from evenkeel.doctor.probe import OneBatch, Probe, RateSearch, Relation, Trial
from evenkeel.doctor.statistics.base import Missing, statistic


@statistic
def declared_trial(probe: Probe) -> Trial:
    """The training as it is declared, in short."""
    return probe.declared


@statistic
def learnable(probe: Probe) -> float:
    """The held-out loss of the best constant answer: what lies below it was learned."""
    if probe.constant_loss is None:
        raise Missing("What a constant answer costs under this loss is not known.")
    return probe.constant_loss


@statistic
def one_batch(probe: Probe) -> OneBatch:
    """What came of training on a few rows alone."""
    if probe.one_batch is None:
        raise Missing("A few rows are tried with one output and a loss that is known only.")
    return probe.one_batch


@statistic
def search(probe: Probe) -> RateSearch:
    """What a sweep over rates suggests."""
    if probe.search is None:
        raise Missing("No rates were swept.")
    return probe.search


@statistic
def relations(probe: Probe) -> tuple[Relation, ...]:
    """What the targets have to do with the inputs, as far as it can be learned."""
    if not probe.relations:
        raise Missing("Of targets under a loss of one's own it is not known what to compare.")
    return probe.relations
