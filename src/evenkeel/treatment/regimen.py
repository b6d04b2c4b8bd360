"""The regimen: findings and their remedies, one at a time, each an experiment."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from evenkeel.doctor.causes import by_cause
from evenkeel.doctor.comparison import AT_FIRST, CONFIRMED, compare
from evenkeel.doctor.diagnosis import Diagnosis, diagnose
from evenkeel.doctor.finding import Finding
from evenkeel.doctor.patient import Patient
from evenkeel.doctor.remedies import REMEDIES
from evenkeel.doctor.remedies.training import RANGE_TEST
from evenkeel.doctor.vocabulary import FAMILIES
from evenkeel.errors import EvenkeelError
from evenkeel.examination import checkup
from evenkeel.treatment.experiment import Arm, BudgetSpentError, Experiment
from evenkeel.treatment.network import same
from evenkeel.treatment.record import Attempt, Score
from evenkeel.treatment.subject import Subject, prescribe

Tell = Callable[[str], None]
Prescribed = list[tuple[Finding, str]]


@dataclass(kw_only=True, eq=False)
class Contest:
    """A treated arm against the best one so far, and what is known of it by now."""

    best: Arm
    arm: Arm
    verdict: str = "rejected"
    reason: str = ""
    before: Score | None = None
    after: Score | None = None
    difference: float | None = None
    noise: float | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether it is better as far as it was tried."""
        return self.verdict == "accepted"

    @property
    def numbers(self) -> dict[str, Any]:
        """What an attempt notes of it."""
        return {name: getattr(self, name) for name in ("before", "after", "difference", "noise")}


@dataclass(kw_only=True, eq=False)
class Regimen:
    """A treatment under way.

    Attributes:
        experiment: What all arms share.
        arm: The best arm so far.
        depth: How deep a checkup looks after a remedy was accepted.
        findings: What is to be treated, in order.
        tell: Called with a sentence on each attempt.
        attempts: What was tried so far.
    """

    experiment: Experiment
    arm: Arm
    depth: str
    findings: tuple[Finding, ...]
    tell: Tell
    attempts: list[Attempt] = field(default_factory=list)
    _tried: set[Any] = field(default_factory=set, init=False)
    _in_vain: set[str] = field(default_factory=set, init=False)
    _seen: dict[str, str] = field(default_factory=dict, init=False)

    def go(self) -> None:
        """Tries remedies one at a time, then what is left together, as far as the budget does."""
        try:
            while self._round():
                pass
        except BudgetSpentError:
            self._note_what_is_left()

    def _round(self) -> bool:
        """Tries every remedy once, then together; returns whether that was worth another round."""
        while (chosen := self._next()) is not None:
            if self._attempt([chosen]):
                self._look_again()
        together = self._untreated()
        if len(together) < 2 or not self._attempt(together):
            return False
        self._look_again()
        return True

    # -- what to try ---------------------------------------------------------------------------

    def _next(self) -> tuple[Finding, str] | None:
        """Returns the next finding and remedy; what no program can do is noted on the way."""
        for finding, name in self._pairs():
            self._tried.add(_key(finding, name))
            if not REMEDIES[name].is_advice:
                return finding, name
            self._note([(finding, name)], "not tried", "It is advice: no program can do it.")
        return None

    def _pairs(self) -> Iterator[tuple[Finding, str]]:
        for finding in everything(self.findings):
            for name in _remedies_of(finding):
                if name in REMEDIES and _key(finding, name) not in self._tried:
                    yield finding, name

    def _untreated(self) -> Prescribed:
        """Returns the first remedy of each cause that was tried alone in vain."""
        found: Prescribed = []
        for finding in self.findings:
            if finding.severity == "note":
                continue
            first = next((n for n in _remedies_of(finding) if n in self._in_vain), None)
            if first is not None and first not in [name for _, name in found]:
                found.append((finding, first))
        return found

    def _look_again(self) -> None:
        """Has the treated network examined; what was found and is not judged again stays.

        What was tried in vain before is tried again where it is still called for: on another
        network it may help.
        """
        diagnosis = examined(self.arm.subject, self.depth)
        judged = {v.code for v in diagnosis.verdicts if v.answer != "cannot tell"}
        stays = [f for f in everything(self.findings) if f.code not in judged]
        found = [replace(f, symptoms=()) for f in [*diagnosis.all_findings, *stays]]
        self.findings = by_cause(found)
        self._seen.clear()
        self._in_vain.clear()
        of_notes = {_key(f, n) for f in found if f.severity == "note" for n in _remedies_of(f)}
        advice = {key for key in self._tried if REMEDIES[key[0]].is_advice}
        self._tried = (self._tried & of_notes) | advice

    # -- one attempt ---------------------------------------------------------------------------

    def _attempt(self, chosen: Prescribed) -> bool:
        """Tries remedies on the best arm so far; returns whether they are accepted."""
        subject = self.arm.subject
        try:
            treated = self._treated(subject, chosen)
        except (EvenkeelError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            self._note(chosen, "not tried", f"It cannot be carried out: {reason}")
            return False
        mark = fingerprint(treated)
        if treated is subject or mark == fingerprint(subject):
            self._note(chosen, "not tried", "It changes nothing here.")
            return False
        if mark in self._seen:
            self._note(chosen, "not tried", f"It comes to the same as {self._seen[mark]}.")
            return False
        self._seen[mark] = " + ".join(name for _, name in chosen)
        return self._tried_out(chosen, treated)

    def _treated(self, subject: Subject, chosen: Prescribed) -> Subject:
        for finding, name in chosen:
            after = REMEDIES[name].apply(subject.patient, finding)
            if is_changed(subject.patient, after):
                subject = prescribe(subject, after, name)
        return subject

    def _tried_out(self, chosen: Prescribed, treated: Subject) -> bool:
        """Trains a treated subject against the best arm so far, and notes what came of it."""
        spent = self.experiment.budget.spent
        contest = Contest(best=self.arm, arm=Arm(subject=treated))
        try:
            self._run(contest)
        except BudgetSpentError:
            contest.reason = "The budget was spent before it was decided."
            raise
        finally:
            steps = self.experiment.budget.spent - spent
            self._note(chosen, contest.verdict, contest.reason, contest, steps)
        if contest.is_accepted:
            self.arm = contest.arm
        elif len(chosen) == 1:
            self._in_vain.add(chosen[0][1])
        return contest.is_accepted

    def _run(self, contest: Contest) -> None:
        """Trains under the first seeds and, if that leaves a doubt, under more to confirm it."""
        experiment = self.experiment
        contest.arm = experiment.run(contest.arm.subject, against=contest.best)
        if contest.arm.error:
            reason = " ".join(contest.arm.error.split())
            contest.reason = f"It could not be trained: {reason}"
            return
        self._judge(contest, CONFIRMED)
        if not contest.is_accepted and self._looks_better(contest) and experiment.more_seeds:
            experiment.confirm(contest.best, contest.arm)
            self._judge(contest, CONFIRMED)

    def _looks_better(self, contest: Contest) -> bool:
        done = len(contest.arm.losses)
        before, after = (np.array(arm.losses[:done]) for arm in (contest.best, contest.arm))
        return not contest.arm.is_given_up and compare(before, after, AT_FIRST).is_better

    def _judge(self, contest: Contest, mistakes: float) -> None:
        judge, done = self.experiment.judge, len(contest.arm.losses)
        before, after = (np.array(arm.losses[:done]) for arm in (contest.best, contest.arm))
        contest.before, contest.after = (
            score_of(judge, contest.best, done),
            score_of(judge, contest.arm),
        )
        contest.difference = float(np.mean(before - after))
        contest.noise = None
        if not contest.arm.is_given_up:
            result = compare(before, after, mistakes)
            contest.noise = result.noise
            contest.verdict = "accepted" if result.is_better else "rejected"
        contest.reason = _reason(contest)

    # -- the log -------------------------------------------------------------------------------

    def _note(
        self,
        chosen: Prescribed,
        verdict: str,
        reason: str,
        contest: Contest | None = None,
        steps: int = 0,
    ) -> None:
        patient = self.arm.subject.patient
        arm = None if contest is None else contest.arm
        every = (*self.experiment.seeds, *self.experiment.more_seeds)
        numbers = {} if contest is None else contest.numbers
        attempt = Attempt(
            remedies=tuple(name for _, name in chosen),
            codes=tuple(dict.fromkeys(finding.code for finding, _ in chosen)),
            place=tuple(dict.fromkeys(name for finding, _ in chosen for name in finding.place)),
            does=", and ".join(REMEDIES[name].does for _, name in chosen),
            types="; ".join(_to_type(patient, finding, name, arm) for finding, name in chosen),
            verdict=verdict,
            reason=reason,
            seeds=() if arm is None or arm.error else every[: len(arm.losses)],
            steps=steps,
            **numbers,
        )
        self.attempts.append(attempt)
        self.tell(f"{verdict}: {' + '.join(attempt.remedies)}. {reason}")

    def _note_what_is_left(self) -> None:
        left = [pair for pair in self._pairs() if not REMEDIES[pair[1]].is_advice]
        for pair in left:
            self._note([pair], "not tried", "The budget is spent.")


def _to_type(patient: Patient, finding: Finding, name: str, arm: Arm | None) -> str:
    try:
        said = REMEDIES[name].to_type(patient, finding)
    except (IndexError, KeyError, ValueError, TypeError):  # worded for a network that it is not
        return ""
    is_measured = arm is not None and arm.rate is not None
    return f"{said}  # found: {arm.rate:.3g}" if arm is not None and is_measured else said


def _reason(contest: Contest) -> str:
    before, after, seeds = contest.before, contest.after, len(contest.arm.losses)
    assert before is not None
    assert after is not None
    assert contest.difference is not None
    change = f"{before.metric} {_shown(before)} before, {_shown(after)} after"
    if contest.noise is None:
        return (
            f"{change}, under {seeds} seed{'s' * (seeds > 1)}: it can no longer be found better "
            "than noise, and was given up."
        )
    if contest.difference <= 0:
        return f"{change}: it is not better."
    joined = "where" if contest.difference > contest.noise else "and"
    return (
        f"{change}: the loss fell by {contest.difference:.3g} of a trivial predictor's, {joined} "
        f"{contest.noise:.3g} may be noise."
    )


def _shown(score: Score) -> str:
    return "no number" if not np.isfinite(score.mean) else f"{score.mean:.4g}"


def _remedies_of(finding: Finding) -> tuple[str, ...]:
    """Returns the remedies of a finding; about the steps, a range test is always one."""
    is_of_steps = finding.code in FAMILIES["steps"] and RANGE_TEST not in finding.remedies
    return (*finding.remedies, RANGE_TEST) if is_of_steps else finding.remedies


def _key(finding: Finding, name: str) -> tuple[str, str, tuple[str, ...]]:
    return name, finding.code, finding.place


def everything(findings: Iterable[Finding]) -> list[Finding]:
    """Returns findings and what they explain, causes before symptoms."""
    return [inner for finding in findings for inner in finding.everything]


def score_of(judge: Any, arm: Arm, seeds: int | None = None) -> Score:
    """Returns the score of an arm, under all seeds or the first few."""
    return Score(
        metric=judge.metric,
        values=tuple(arm.shown[:seeds]),
        relative_losses=tuple(float(loss.mean()) for loss in arm.losses[:seeds]),
        wants_more=judge.wants_more,
    )


def examined(subject: Subject, depth: str) -> Diagnosis:
    """Returns the diagnosis of a subject as it stands before training."""
    patient = subject.patient
    if depth == "static":
        return diagnose(patient)
    run = patient.run
    result = checkup(
        subject.model,
        subject.inputs(),
        subject.targets(),
        (subject.held_out, subject.held_out_targets()),
        depth,
        batch_size=run.batch_size,
        epochs=run.epochs,
        shuffle=run.shuffle,
        class_weight=run.class_weight,
    )
    return result.diagnosis


def is_changed(before: Patient, after: Patient) -> bool:
    """Whether a remedy changed anything of a patient."""
    if before is after:
        return False
    places = [(part.name, part.kinds, part.sources, part.activation) for part in before.parts]
    if places != [(part.name, part.kinds, part.sources, part.activation) for part in after.parts]:
        return True
    configs = zip(before.parts, after.parts, strict=True)
    return (
        any(_differ(old.config, new.config) for old, new in configs)
        or before.heads != after.heads
        or before.optimizer is not after.optimizer
        or before.run != after.run
        or any(_data(before, n) is not _data(after, n) for n in range(len(_arrays(before))))
    )


def fingerprint(subject: Subject) -> str:
    """Returns a text that is equal for subjects whose networks, training and data are equal."""
    patient = subject.patient
    layers = [
        (part.name, part.kinds, part.sources, part.is_trainable, _written(part.config))
        for part in patient.parts
    ]
    optimizer = patient.optimizer
    training = optimizer and (optimizer.kind, optimizer.rate, optimizer.settings)
    schedule = optimizer and optimizer.schedule
    curve = schedule and (schedule.kind, _written({"r": schedule.rates, "s": schedule.steps}))
    data = [_written({"a": array}) for array in _arrays(patient)]
    rate = subject.measures_rate
    return repr((layers, patient.heads, patient.run, training, rate, curve, data))


def _written(config: Any) -> list[Any]:
    return [
        (name, (value.shape, zlib.crc32(np.ascontiguousarray(value).tobytes())))
        if isinstance(value, np.ndarray)
        else (name, value)
        for name, value in sorted(config.items())
    ]


def _differ(old: Any, new: Any) -> bool:
    return set(old) != set(new) or any(not same(old[name], new[name]) for name in old)


def _arrays(patient: Patient) -> Sequence[Any]:
    inputs = [a for data in patient.inputs for a in (data.values, data.validation)]
    return [*inputs, *(a for target in patient.targets for a in (target.values, target.validation))]


def _data(patient: Patient, number: int) -> Any:
    return _arrays(patient)[number]
