"""What every rule, code and remedy obeys, over all that there are."""

from __future__ import annotations

import inspect
import json

import pytest

from evenkeel.doctor import Patient, diagnose, explain, family_of
from evenkeel.doctor.causes import EXPLAINS
from evenkeel.doctor.finding import SEVERITIES
from evenkeel.doctor.pages import SECTIONS
from evenkeel.doctor.remedies import REMEDIES
from evenkeel.doctor.rules import RULES, RUN_RULES, STATIC_RULES
from evenkeel.doctor.statistics import STATISTICS
from evenkeel.doctor.vocabulary import CODES, FAMILIES
from tests.doctor import courses, patients

CASES = (*patients.CASES, *courses.CASES)
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def of_code(patient, code):
    """Returns the findings of a code, symptoms among them."""
    return [f for f in diagnose(patient).all_findings if f.code == code]


def rules_of(code):
    """Returns the rules of a code: one may look at a probe, and one at the run."""
    return [rule for rule in RULES if rule.code == code]


def offered_for(code):
    """Returns the remedies that the rules of a code name."""
    return {name for rule in rules_of(code) for name in (*rule.remedies, *rule.eases)}


@every_rule
def test_has_a_code_a_family_a_severity_and_a_remedy(rule):
    assert rule.code in FAMILIES[family_of(rule.code)]
    assert rule.severities
    assert set(rule.severities) <= set(SEVERITIES)
    assert rule.remedies
    assert {*rule.remedies, *rule.eases} <= set(REMEDIES)


@every_rule
def test_names_numbers_that_exist(rule):
    known = {*STATISTICS, *(f for f in Patient.__dataclass_fields__), "patient"}
    assert set(rule.requires()) <= known


@every_rule
def test_has_a_page_in_five_parts(rule):
    page = explain(rule.code)
    assert tuple(page.sections) == SECTIONS
    assert all(len(text) > 10 for text in page.sections.values())
    assert page.title.endswith(".")
    assert set(page.remedies) == offered_for(rule.code)
    assert page.code in str(page)
    json.dumps(page.to_dict())


@every_rule
def test_cannot_tell_without_numbers(rule):
    verdict = rule.judge({})
    assert verdict.answer == "cannot tell"
    assert verdict.reason


@every_rule
def test_cannot_tell_or_is_healthy_about_nobody(rule):
    """A patient of whom nothing is known has no finding."""
    assert not of_code(Patient(), rule.code)


@every_rule
def test_has_a_patient(rule):
    assert rule.code in {case.code for case in CASES}


def test_rules_that_share_a_code_judge_by_different_numbers():
    """One may look at a probe and one at the run; two of the same would say everything twice."""
    assert len({(rule.code, rule.requires()) for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("family", ["data", "structure", "signal", "units"])
def test_every_code_of_a_family_that_needs_no_whole_run_has_a_rule(family):
    assert set(FAMILIES[family]) <= {rule.code for rule in STATIC_RULES}


def test_every_code_that_a_run_shows_has_a_rule():
    shown = {*FAMILIES["steps"], *FAMILIES["generalization"], *FAMILIES["numerics"]}
    assert {rule.code for rule in RUN_RULES} == shown


def test_every_remedy_is_named_by_a_rule():
    named = {name for rule in RULES for name in (*rule.remedies, *rule.eases)}
    assert set(REMEDIES) == named


def test_causes_are_of_the_vocabulary():
    assert set(EXPLAINS) <= set(CODES)
    assert {code for codes in EXPLAINS.values() for code in codes} <= set(CODES)


@pytest.mark.parametrize("remedy", REMEDIES.values(), ids=lambda remedy: remedy.name)
def test_every_remedy_says_what_it_does_and_how_safe_it_is(remedy):
    assert remedy.does
    assert not remedy.does.endswith(".")
    assert remedy.safety
    if remedy.change is not None:
        assert inspect.getdoc(remedy.change)


@every_case
def test_flags_its_patient(case):
    found = of_code(case.sick(), case.code)
    severities = {severity for rule in rules_of(case.code) for severity in rule.severities}
    assert found
    for finding in found:
        assert finding.severity in severities
        assert 0 < finding.confidence <= 1
        assert finding.place
        assert finding.evidence
        assert finding.remedies
        assert {*finding.remedies} <= {*offered_for(case.code), "gather-data", "change-loss"}
        assert finding.sentence.endswith(".")
        json.dumps(finding.to_dict())


@every_case
def test_spares_its_twin(case):
    """A healthy network has no finding, of whatever code."""
    assert not diagnose(case.twin()).codes


@every_case
def test_remedies_remove_the_finding_and_add_none(case):
    """Treated by its first remedy until nothing is left of the code; advice is not tried."""
    sick = case.sick()
    before = diagnose(sick).codes
    eases = {name for rule in rules_of(case.code) for name in rule.eases}
    for name in {n for finding in of_code(sick, case.code) for n in finding.remedies}:
        if REMEDIES[name].is_advice or name in eases:
            continue
        treated = sick
        for _ in range(10):
            applicable = [f for f in of_code(treated, case.code) if name in f.remedies]
            if not applicable:
                break
            assert REMEDIES[name].to_type(treated, applicable[0])
            treated = REMEDIES[name].apply(treated, applicable[0])
        left = [f for f in of_code(treated, case.code) if name in f.remedies]
        assert not left, f"{name} leaves {left}"
        assert diagnose(treated).codes <= before, f"{name} adds a finding"


@every_case
def test_what_eases_changes_the_plan_and_adds_no_finding(case):
    sick = case.sick()
    before = diagnose(sick).codes
    for finding in of_code(sick, case.code):
        for name in finding.remedies:
            if not REMEDIES[name].is_advice:
                assert diagnose(REMEDIES[name].apply(sick, finding)).codes <= before
