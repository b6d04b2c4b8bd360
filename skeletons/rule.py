"""A rule to start from. `python -m doctest skeletons/rule.py` runs the example.

CONTRIBUTING.md, "Add a rule", says where the class goes.
"""

from __future__ import annotations

from collections.abc import Iterator

from evenkeel.doctor import Finding, LayerRecord, Number, Rule, Unclear


class DropoutTooHigh(Rule):
    """Dropout that leaves less signal than noise.

    Example:
        >>> drop = LayerRecord(name="drop", kinds=("Dropout",), config={"rate": 0.9})
        >>> [finding.sentence for finding in DropoutTooHigh().judge({"parts": (drop,)}).findings]
        ["'drop' drops 90% of its inputs."]
    """

    # A word of the vocabulary; the severities that it can give; remedies, the best first.
    code = "dropout-too-high"
    severities = ("warning",)
    remedies = ("lower-dropout",)
    # A threshold has its reason, and its source where there is one, on the lines above it.
    largest = 0.7

    # The parameters are the names of the numbers that it needs: the patient's own, or those of
    # `evenkeel.doctor.statistics`. Without one of them the answer is "cannot tell".
    def check(self, parts: tuple[LayerRecord, ...]) -> Iterator[Finding | Number | Unclear]:
        """Looks at the rate of each dropout.

        Measures:
            The fraction of inputs that are dropped.
        Why it hurts:
            What a unit hears is mostly chance.
        Looks like:
            A training loss well above the validation loss.
        False alarms:
            Rates up to 0.7 are silent.
        Remedies:
            A lower rate (safe).
        """
        for layer in parts:
            if layer.is_a("Dropout"):
                rate = float(layer.config["rate"])
                yield Number("rate", rate, "of inputs")  # what a healthy verdict rests on
                if rate > self.largest:
                    yield self.found(
                        "warning",
                        f"{layer.name!r} drops {rate:.0%} of its inputs.",
                        Number("rate", rate, "of inputs"),
                        place=(layer.name,),
                    )
