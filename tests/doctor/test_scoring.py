"""Losses of rows in parts of a trivial predictor's, whatever form a network answers in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evenkeel.doctor import HeadRecord, Patient, TargetData
from evenkeel.doctor.scoring import Form, Judge, Task

CLASSES = HeadRecord(name="y", kind="classes", loss="sparse_categorical_crossentropy", units=3)
BINARY = HeadRecord(name="y", kind="binary", loss="binary_crossentropy", units=1)
NUMBERS = HeadRecord(name="y", kind="numbers", loss="mean_squared_error", units=1)


def task(head, values, train=None):
    values = np.asarray(values)
    return Task.of(head, values if train is None else np.asarray(train), values)


def one_hot(labels, count=3):
    return np.eye(count)[labels]


def test_right_answers_lose_nothing_and_the_most_frequent_class_is_trivial():
    labels = [0, 0, 1, 2]
    of = task(CLASSES, labels)
    assert of.losses(one_hot(labels), Form(head=CLASSES)).tolist() == [0, 0, 0, 0]
    always = of.losses(one_hot([0, 0, 0, 0]), Form(head=CLASSES))
    assert always.mean() == pytest.approx(1)
    assert of.shown(one_hot([0, 0, 1, 1]), Form(head=CLASSES)) == 0.75


def test_one_unit_answers_yes_or_no_by_its_probability_or_its_logit():
    of = task(BINARY, [0, 1, 1, 0])
    answers = np.array([[0.2], [0.4], [0.9], [-3.0]])
    assert of.shown(answers, Form(head=BINARY)) == 0.75
    assert of.shown(answers, Form(head=replace(BINARY, from_logits=True))) == 0.75


def test_one_unit_of_a_softmax_says_nothing():
    of = task(BINARY, [0, 1, 1, 0])
    says = Form(head=HeadRecord(kind="classes"))
    assert of.losses(np.ones((4, 1)), says).mean() == pytest.approx(1)


def test_a_number_answers_for_a_class_and_a_class_for_a_number():
    """So that a network can be compared with what it becomes under another loss."""
    of = task(CLASSES, [0, 1, 2, 2])
    assert of.shown(np.array([[0.2], [1.4], [1.6], [9.0]]), Form(head=NUMBERS)) == 0.75
    of = task(NUMBERS, [0.0, 1.0, 2.0, 2.0])
    assert of.shown(one_hot([0, 1, 2, 1]), Form(head=CLASSES)) == pytest.approx(0.5)


def test_numbered_classes_are_compared_by_their_raw_labels():
    of = task(CLASSES, [10, 20, 40])
    form = Form(head=CLASSES, classes=np.array([10, 20, 40]))
    assert of.losses(one_hot([0, 1, 2]), form).tolist() == [0, 0, 0]


def test_scaled_answers_are_compared_in_raw_units():
    raw = np.array([100.0, 300.0, 500.0])
    of = task(NUMBERS, raw)
    form = Form(head=NUMBERS, scale=raw.std(), offset=raw.mean())
    answers = ((raw - raw.mean()) / raw.std())[:, None]
    assert of.losses(answers, form) == pytest.approx(0, abs=1e-20)
    assert of.shown(answers * 0, form) == pytest.approx(raw.std())


def test_a_rare_class_counts_as_much_as_the_others():
    labels = np.repeat([0, 1], [95, 5])
    of = task(BINARY, labels)
    assert of.metric == "balanced accuracy"
    never = of.losses(np.zeros((100, 1)), Form(head=BINARY))
    assert never.mean() == pytest.approx(1)
    assert of.shown(np.zeros((100, 1)), Form(head=BINARY)) == pytest.approx(0.5)
    assert task(BINARY, np.repeat([0, 1], [80, 20])).metric == "accuracy"


def test_several_yes_or_no_answers_count_one_by_one():
    head = replace(BINARY, units=2)
    of = task(head, [[0, 1], [1, 1], [0, 0], [1, 0]])
    assert (
        of.shown(np.array([[0.1, 0.9], [0.9, 0.1], [0.1, 0.1], [0.9, 0.1]]), Form(head=head))
        == 0.875
    )


def test_what_broke_has_learned_nothing():
    of = task(NUMBERS, [0.0, 2.0])
    form = Form(head=NUMBERS)
    assert of.losses(np.array([[np.nan], [np.inf]]), form).tolist() == [1, 1]
    assert of.losses(np.zeros((0, 1)), form).tolist() == [1, 1]
    assert np.isnan(of.shown(np.array([[np.nan], [0.0]]), form))


def test_a_row_that_blew_up_has_an_end_and_a_network_far_worse_than_trivial_has_one():
    truth = np.tile([0.0, 2.0], 200)
    of = task(NUMBERS, truth)
    answers = truth[:, None].copy()
    answers[0] = 1e30
    losses = of.losses(answers, Form(head=NUMBERS))
    assert losses[0] == 100
    assert losses[1:].sum() == 0
    assert of.losses(answers + 9, Form(head=NUMBERS)).mean() == pytest.approx(2)


def test_the_trivial_predictor_knows_the_training_rows_alone():
    of = task(NUMBERS, [0.0, 2.0], train=[5.0, 5.0])
    assert of.losses(np.array([[5.0], [5.0]]), Form(head=NUMBERS)).mean() == pytest.approx(1)


def test_several_outputs_count_alike():
    heads = (replace(CLASSES, name="kind"), replace(NUMBERS, name="price"))
    kinds, prices = np.array([0, 0, 1, 2]), np.array([0.0, 2.0, 0.0, 2.0])
    patient = Patient(
        heads=heads,
        targets=tuple(TargetData(values=v, validation=v) for v in (kinds, prices)),
    )
    judge = Judge.of(patient)
    forms = [Form(head=head) for head in heads]
    assert judge.rows == 4
    assert judge.losses([one_hot(kinds), prices[:, None]], forms).tolist() == [0, 0, 0, 0]
    mixed = judge.losses([one_hot(kinds), np.ones((4, 1))], forms)
    assert mixed == pytest.approx(0.5)
    assert judge.of_nothing().mean() == pytest.approx(1)
