"""The 64 code cells of the study notes on training deep networks, in their order, as data.

The code is what a reader of the notes types, with `tensorflow` still in the import cell; the
runner puts another library's name there. The notes' numbers are the kernel's counter when a cell
was last run, so they neither begin at 1 nor only rise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One code cell.

    Attributes:
        number: The number in the notes: 21 for `In [21]`.
        code: The code.
        keras_says: A part of the message with which Keras 3.15 refuses the cell, by backend, as
            `run_with_keras.py` found it; empty where Keras runs it.
        warns: What evenkeel's warning names as the form to type today; None where the cell runs
            without one.
    """

    number: int
    code: str
    keras_says: Mapping[str, str] = field(default_factory=dict)
    warns: str | None = None


_cells: list[Cell] = []


def _cell(number: int, code: str, **more: Any) -> None:
    _cells.append(Cell(number=number, code=dedent(code).strip() + "\n", **more))


def _on_both(message: str) -> dict[str, str]:
    return {"jax": message, "tensorflow": message}


# -- initialization --------------------------------------------------------------------------------

_cell(
    6,
    """
    import pandas as pd
    import numpy as np
    import tensorflow as tf
    from tensorflow import keras
    """,
)
_cell(
    8,
    """
    he_normal_layer = keras.layers.Dense(10, activation='relu', kernel_initializer='he_normal')

    he_uniform_layer = keras.layers.Dense(10, activation='relu', kernel_initializer='he_uniform')
    """,
)
_cell(10, "he_normal_layer.kernel_initializer")
_cell(11, "he_uniform_layer.kernel_initializer")
_cell(
    14,
    """
    glorot_normal_layer = keras.layers.Dense(10, activation='sigmoid', kernel_initializer='glorot_normal')
    """,  # noqa: E501  # as the notes write it
)
_cell(
    16,
    """
    he_avg_init = keras.initializers.VarianceScaling(scale=2, mode='fan_avg', distribution='uniform')
    he_avg_layer = keras.layers.Dense(10, activation='relu', kernel_initializer=he_avg_init)
    """,  # noqa: E501  # as the notes write it
)
_cell(17, "he_avg_layer.kernel_initializer")

# -- activations -----------------------------------------------------------------------------------

_cell(
    21,
    """
    model = keras.models.Sequential([
        keras.layers.Input(shape=[8]),
        keras.layers.Dense(30, kernel_initializer='he_normal'),
        keras.layers.LeakyReLU(alpha=0.2),
        keras.layers.Dense(20, kernel_initializer='he_normal'),
        keras.layers.LeakyReLU(alpha=0.2),
        keras.layers.Dense(1)

    ])
    """,
)
_cell(22, "model.summary()")
_cell(
    23,
    """
    model = keras.models.Sequential([
        keras.layers.Input(shape=[8]),
        keras.layers.Dense(30, kernel_initializer='he_normal'),
        keras.layers.PReLU(),
        keras.layers.Dense(20, kernel_initializer='he_normal'),
        keras.layers.PReLU(),
        keras.layers.Dense(1)

    ])

    model.summary()
    """,
)
_cell(
    24,
    """
    model = keras.models.Sequential([
        keras.layers.Input(shape=[8]),
        keras.layers.Dense(30, activation='selu', kernel_initializer='lecun_normal'),
        keras.layers.Dense(20, activation='selu', kernel_initializer='lecun_normal'),
        keras.layers.Dense(1)

    ])

    model.summary()
    """,
)

# -- batch normalization ---------------------------------------------------------------------------

_cell(
    25,
    """
    model = keras.models.Sequential([
        keras.layers.Flatten(input_shape=[28, 28]),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(300, activation='elu', kernel_initializer='he_normal'),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(100, activation='elu', kernel_initializer='he_normal'),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(10, activation='softmax')
    ])
    """,
)
_cell(26, "model.summary()")
_cell(28, "[(var.name, var.trainable) for var in model.layers[1].variables]")
_cell(
    33,
    """
    model = keras.models.Sequential([
        keras.layers.Flatten(input_shape=[28, 28]),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(300, kernel_initializer='he_normal'),
        keras.layers.BatchNormalization(),
        keras.layers.Activation('elu'),
        keras.layers.Dense(100, kernel_initializer='he_normal'),
        keras.layers.BatchNormalization(),
        keras.layers.Activation('elu'),
        keras.layers.Dense(10, activation='softmax')
    ])

    model.summary()
    """,
)

# -- clipping --------------------------------------------------------------------------------------

_cell(
    35,
    """
    optimizer = keras.optimizers.SGD(clipvalue=1.0)
    optimizer
    """,
)

# -- reusing layers --------------------------------------------------------------------------------

_cell(
    38,
    """
    model_A = model

    model_B_on_A = keras.models.Sequential(model_A.layers[:-1])
    """,
)
_cell(39, "model_B_on_A.add(keras.layers.Dense(1, activation='sigmoid'))")
_cell(
    41,
    """
    model_A_clone = keras.models.clone_model(model_A)

    model_A_clone.set_weights(model_A.get_weights())
    """,
)
_cell(
    42,
    """
    model_B_on_A = keras.models.Sequential(model_A_clone.layers[:-1])
    model_B_on_A.add(keras.layers.Dense(1, activation='sigmoid'))
    """,
)
_cell(
    44,
    """
    for layer in model_B_on_A.layers[:-1]:
        layer.trainable = False
    """,
)
_cell(
    45,
    "model_B_on_A.compile(optimizer='sgd', loss='binary_crossentropy', metrics=['accuracy'])",
)

# -- optimizers ------------------------------------------------------------------------------------

_cell(47, "optimizer = keras.optimizers.SGD(learning_rate=1e-3, momentum=0.9)")
_cell(48, "optimizer = keras.optimizers.SGD(learning_rate=1e-3, momentum=0.9, nesterov=True)")
_cell(50, "optimizer = keras.optimizers.Adagrad(learning_rate=0.001)")
_cell(49, "optimizer = keras.optimizers.RMSprop(learning_rate=1e-3, rho=0.9)")
_cell(51, "optimizer = keras.optimizers.Adam(learning_rate=1e-3, beta_1=0.9, beta_2=0.999)")
_cell(54, "optimizer = keras.optimizers.Adamax(learning_rate=1e-3, beta_1=0.9, beta_2=0.999)")
_cell(55, "optimizer = keras.optimizers.Nadam(learning_rate=1e-3, beta_1=0.9, beta_2=0.999)")

# -- learning rate schedules -----------------------------------------------------------------------

_cell(
    61,
    "optimizer = tf.keras.optimizers.legacy.SGD(learning_rate=0.01, decay=1e-4)",
    keras_says=_on_both("`keras.optimizers.legacy` is not supported in Keras 3"),
    warns="InverseTimeDecay",
)
_cell(
    65,
    """
    lr_schedule = tf.keras.optimizers.schedules.InverseTimeDecay(
        initial_learning_rate=0.01,
        decay_steps=10_000,
        decay_rate=1.0,
        staircase=False
    )
    optimizer = tf.keras.optimizers.SGD(learning_rate=lr_schedule)
    """,
)
_cell(66, "10_000")
_cell(
    78,
    """
    len_X_train = 10_000
    s = 20 * len_X_train  // 32
    lr_schedule = tf.keras.optimizers.schedules.ExponentialDecay(initial_learning_rate=0.01,
                                                                 decay_steps=s,
                                                                 decay_rate=0.1,
                                                                 staircase=False
                                                                )
    optimizer = tf.keras.optimizers.SGD(learning_rate=lr_schedule)
    """,
)
_cell(
    73,
    """
    def exp_decay_fn(epoch):
        return 0.01 * 0.1**(epoch/20)


    def exp_decay(lr0, s):
        def exp_decay_fn(epoch):
            return lr0 * 0.1 ** (epoch / s)
        return exp_decay_fn
    """,
)
_cell(
    71,
    """
    exp_decay_fn =  exp_decay(1e-2, s=20)

    lr_schedule = keras.callbacks.LearningRateScheduler(exp_decay_fn)
    """,
)
_cell(
    74,
    """
    lr_schedule = tf.keras.optimizers.schedules.PiecewiseConstantDecay(
        boundaries=[50_000, 80_000],
        values=[0.01, 0.005, 0.001]
    )
    optimizer = tf.keras.optimizers.SGD(learning_rate=lr_schedule)
    """,
)
_cell(
    76,
    """
    def piecewise_constant_fn(epoch):
        if epoch < 5:
            return 0.01
        elif epoch < 15:
            return 0.005
        else:
            return 0.001
    """,
)
_cell(79, "lr_scheduler = tf.keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=5)")

# -- regularization --------------------------------------------------------------------------------

_cell(
    80,
    """
    layer = keras.layers.Dense(100, activation='elu',
                               kernel_initializer="he_normal",
                               kernel_regularizer=keras.regularizers.l2(0.01)
                              )
    """,
)
_cell(
    82,
    """
    layer = keras.layers.Dense(100, activation='elu',
                               kernel_initializer='he_normal',
                               kernel_regularizer=keras.regularizers.l1(0.01)
                              )
    """,
)
_cell(
    83,
    """
    layer = keras.layers.Dense(100, activation='elu',
                               kernel_initializer='he_normal',
                               kernel_regularizer=keras.regularizers.l1_l2(l1=0.01, l2=0.01)
                              )
    """,
)
_cell(85, "from functools import partial")
_cell(
    86,
    """
    RegularizedDense = partial(keras.layers.Dense,
                               activation='elu',
                               kernel_initializer = 'he_normal',
                               kernel_regularizer = keras.regularizers.l1(0.01)
                              )

    model = keras.models.Sequential([
        keras.layers.Flatten(input_shape=[28,28]),
        RegularizedDense(300),
        RegularizedDense(100),
        RegularizedDense(10, activation='sigmoid', kernel_initializer='glorot_uniform')
    ])
    """,
)
_cell(88, "model.summary()")

# -- dropout ---------------------------------------------------------------------------------------

_cell(
    89,
    """
    model = keras.models.Sequential([
        keras.layers.Flatten(input_shape = [28,28]),
        keras.layers.Dropout(rate=0.2),
        keras.layers.Dense(300, activation='elu', kernel_initializer='he_normal'),
        keras.layers.Dropout(rate=0.2),
        keras.layers.Dense(100, activation='elu', kernel_initializer='he_normal'),
        keras.layers.Dropout(rate=0.2),
        keras.layers.Dense(10, activation='softmax', kernel_initializer='glorot_uniform')
    ])
    """,
)
_cell(90, "model.summary()")
_cell(91, "model.summary()")
_cell(
    95,
    """
    model.compile(optimizer='rmsprop',
                  metrics='accuracy',
                  loss='sparse_categorical_crossentropy')
    """,
    keras_says=_on_both("Expected `metrics` argument to be a list, tuple, or dict"),
)
_cell(
    93,
    """
    (X_train_full, y_train_full), (X_test, y_test) = keras.datasets.fashion_mnist.load_data()
    X_valid, X_train = X_train_full[:5000] / 255.0, X_train_full[5000:] / 255.0
    y_valid, y_train = y_train_full[:5000], y_train_full[5000:]
    class_names = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
    """,  # noqa: E501  # as the notes write it
)
_cell(
    96,
    """
    history = model.fit(X_train, y_train,
              epochs=30,
              validation_data=[X_valid, y_valid])
    """,
    keras_says=_on_both("You must call `compile()` before using the model"),
)

# -- Monte Carlo dropout ---------------------------------------------------------------------------

_cell(
    102,
    """
    tf.random.set_seed(42)

    y_probs = np.stack([model(X_test, training=True) for sample in range(100)])

    y_proba = y_probs.mean(axis=0)
    """,
)
_cell(105, "model.predict(X_test[:1]).round(3)")
_cell(107, "y_proba[0].round(3)")
_cell(109, "y_probs.shape")
_cell(
    114,
    """
    print(model.predict(X_test[0]).round(3))
    print(y_proba[0].round(3))
    """,
    keras_says={
        "jax": "Expected shape (None, 28, 28), but input has incompatible shape (28, 28)",
        "tensorflow": "Cannot take the length of shape with unknown rank",
    },
    warns="[None]",
)
_cell(116, "class_names[9]")
_cell(120, "y_proba[0].std(axis=0)")
_cell(124, "y_proba.argmax(axis=1)")
_cell(
    125,
    """
    y_pred = y_proba.argmax(axis=1)
    accuracy = (y_pred == y_test).sum() / len(y_test)
    accuracy
    """,
)
_cell(
    126,
    """
    class MCDropout(tf.keras.layers.Dropout):
        def call(self, inputs, training=None):
            return super().call(inputs, training=True)
    """,
)
_cell(
    127,
    """
    Dropout = tf.keras.layers.Dropout
    mc_model = tf.keras.Sequential([
        MCDropout(layer.rate) if isinstance(layer, Dropout) else layer
        for layer in model.layers
    ])
    mc_model.set_weights(model.get_weights())
    """,
    # On JAX the model has lost its weights since `predict` refused the single image.
    keras_says={"jax": "'NoneType' object is not callable"},
)
_cell(128, "mc_model.summary()")

# -- max-norm --------------------------------------------------------------------------------------

_cell(
    131,
    """
    layer = keras.layers.Dense(100, activation='elu',
                       kernel_initializer='he_normal',
                       kernel_constraint=keras.constraints.MaxNorm(1.)
                      )
    """,
)
_cell(134, "layer.get_config()")

CELLS: tuple[Cell, ...] = tuple(_cells)
