"""What earlier Keras wrote: `decay`, and `optimizers.legacy`."""

from __future__ import annotations

import pytest

import evenkeel as ek
from evenkeel.errors import EvenkeelWarning, InvalidArgumentError
from evenkeel.optimizers import legacy
from evenkeel.optimizers.schedules import InverseTimeDecay
from tests.laws import discovery


def test_decay_is_the_schedule_that_the_warning_names():
    with pytest.warns(EvenkeelWarning) as warned:
        optimizer = ek.optimizers.SGD(learning_rate=0.01, decay=1e-4)
    line = str(warned[0].message).splitlines()[-1].removeprefix("Type ").removesuffix(".")
    today = eval(line, {"ek": ek})  # the line is ours, and must be Python
    assert optimizer.schedule == today.schedule == InverseTimeDecay(0.01, 1, 1e-4)
    assert optimizer.fingerprint == today.fingerprint
    optimizer.iterations = 10_000
    assert optimizer.learning_rate == pytest.approx(0.005)


def test_the_warning_points_at_the_line_that_was_typed():
    for cls in (ek.optimizers.SGD, legacy.Adam):
        with pytest.warns(EvenkeelWarning) as warned:
            cls(decay=1e-4)
        assert warned[0].filename == __file__


@pytest.mark.parametrize("cls", discovery.each(getattr(legacy, name) for name in legacy.__all__))
def test_every_legacy_class_is_today_s_and_accepts_decay(cls):
    modern = getattr(ek.optimizers, cls.__name__)
    with pytest.warns(EvenkeelWarning, match=rf"ek\.optimizers\.{cls.__name__}\("):
        optimizer = cls(learning_rate=0.5, decay=0.5)
    assert isinstance(optimizer, modern)
    optimizer.iterations = 2
    assert optimizer.learning_rate == pytest.approx(0.25)
    with pytest.warns(EvenkeelWarning):
        plain = cls(learning_rate=0.5)
    assert plain.schedule is None
    assert plain.learning_rate == 0.5


def test_a_file_of_a_legacy_optimizer_holds_today_s():
    with pytest.warns(EvenkeelWarning):
        optimizer = legacy.SGD(learning_rate=0.01, momentum=0.9, decay=1e-4)
    written = discovery.through_json(ek.registry.serialize(optimizer))
    copy = ek.optimizers.get(written)
    assert type(copy) is ek.optimizers.SGD
    assert copy.schedule == optimizer.schedule
    assert copy.momentum == 0.9


@pytest.mark.parametrize("decay", [-0.1, float("nan"), "slow"])
def test_an_impossible_decay_is_refused(decay):
    with pytest.raises(InvalidArgumentError, match="decay"):
        ek.optimizers.SGD(decay=decay)


def test_decay_beside_a_schedule_is_refused():
    with pytest.raises(InvalidArgumentError, match="beside a schedule"):
        ek.optimizers.SGD(InverseTimeDecay(0.1, 1, 1.0), decay=1e-4)


@pytest.mark.parametrize("name", ["RMSprop", "RMSProp", "rmsprop", "rms_prop", "AdamW", "adam_w"])
def test_usual_spellings_of_names_are_understood(name):
    found = ek.optimizers.get(name)
    assert type(found).__name__.lower() == name.lower().replace("_", "")
