"""Configurations that need little tuning, made for data, each choice with its reason.

They are the doctor's knowledge turned around: what it would prescribe before anything is wrong.
`default` and `self_normalizing` make a recipe; `sparse`, `low_latency` and `risk_sensitive` adapt
one; `activation_advice` answers a single question.
"""

from evenkeel.recipes.adaptations import low_latency, risk_sensitive, sparse
from evenkeel.recipes.advice import activation_advice
from evenkeel.recipes.choices import Choice
from evenkeel.recipes.default import default
from evenkeel.recipes.profile import Profile
from evenkeel.recipes.recipe import Recipe
from evenkeel.recipes.self_normalizing import self_normalizing

__all__ = [
    "Choice",
    "Profile",
    "Recipe",
    "activation_advice",
    "default",
    "low_latency",
    "risk_sensitive",
    "self_normalizing",
    "sparse",
]
