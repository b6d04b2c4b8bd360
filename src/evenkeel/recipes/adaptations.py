"""Recipes for special needs: few weights, fast answers, answers that know how sure they are.

Each is a function from recipe to recipe, so that they can be put one around another.
"""

from __future__ import annotations

from evenkeel.doctor.moments import initializer_for
from evenkeel.errors import InvalidArgumentError, explain
from evenkeel.recipes.choices import Choice
from evenkeel.recipes.recipe import Recipe

# A mild penalty, of the usual size for a loss of about 1; it was not tuned.
L1 = 1e-5
MC_DROPOUT = 0.2


def sparse(recipe: Recipe) -> Recipe:
    """Returns the recipe with an l1 penalty, which brings most weights to nearly nothing.

    Args:
        recipe: Any recipe.

    Example:
        >>> import numpy as np
        >>> import evenkeel as ek
        >>> recipe = ek.recipes.default(np.eye(8), np.arange(8.0) / 3)
        >>> ek.recipes.sparse(recipe)["l1"] > recipe["l1"]
        True
    """
    return recipe.changed(
        Choice("l1", L1, "each weight pays for its size, so that only those that help stay"),
        Choice("weight_decay", 0.0, "the l1 penalty takes its place"),
        name=f"sparse_{recipe.name}",
    )


def low_latency(recipe: Recipe) -> Recipe:
    """Returns the recipe with fewer layers that answer faster.

    One hidden layer, or two where there were more; leaky ReLU; batch normalization right behind the
    sums, where it can be folded into the weights once the network is trained; products in bfloat16.

    Args:
        recipe: Any recipe but a self-normalizing one, which leaky ReLU would break.

    Raises:
        InvalidArgumentError: If the recipe is self-normalizing.

    Example:
        >>> import numpy as np
        >>> import evenkeel as ek
        >>> fast = ek.recipes.low_latency(ek.recipes.default(np.eye(8), np.arange(8.0) / 3))
        >>> fast["hidden"], fast["activation"], fast["precision"]
        ((300,), 'leaky_relu', 'bfloat16')
    """
    if recipe["activation"] == "selu":
        raise InvalidArgumentError(
            explain(
                f"low_latency: the recipe {recipe.name!r} normalizes itself, which needs SELU.",
                "Type ek.recipes.low_latency(ek.recipes.default(x, y)).",
            )
        )
    hidden = recipe["hidden"]
    fewer = hidden[: 2 if len(hidden) > 2 else 1]
    return recipe.changed(
        Choice("hidden", fewer, f"{len(hidden)} layers answer later than {len(fewer)}"),
        Choice("activation", "leaky_relu", "a comparison and a product, and it cannot die"),
        Choice("kernel_initializer", initializer_for("leaky_relu"), "leaky_relu calls for them"),
        Choice("normalization", "batch", "right behind the sums it can be folded into the weights"),
        Choice("precision", "bfloat16", "products of half the length, where units exist for it"),
        name=f"low_latency_{recipe.name}",
    )


def risk_sensitive(recipe: Recipe) -> Recipe:
    """Returns the recipe with dropout behind every hidden layer, ready for Monte Carlo dropout.

    `np.stack([model(x, training=True) for _ in range(100)])` then draws answers whose spread says
    how sure the network is. A batch normalization, which would mix the rows of a batch in such
    draws, gives way to layer normalization.

    Args:
        recipe: Any recipe.

    Example:
        >>> import numpy as np
        >>> import evenkeel as ek
        >>> recipe = ek.recipes.risk_sensitive(ek.recipes.default(np.eye(8), np.arange(8.0) / 3))
        >>> model = recipe.build()
        >>> draws = np.stack([model(np.eye(8), training=True) for _ in range(20)])
        >>> bool((draws.std(axis=0) > 0).all())
        True

    References:
        Gal and Ghahramani, "Dropout as a Bayesian Approximation", ICML 2016.
    """
    rate = max(recipe["dropout"], MC_DROPOUT)
    changes = [Choice("dropout", rate, "draws show how much an answer depends on single units")]
    if recipe["normalization"] == "batch":
        changes.append(
            Choice("normalization", "layer", "in draws a batch normalization would mix the rows")
        )
    return recipe.changed(*changes, name=f"risk_sensitive_{recipe.name}")
