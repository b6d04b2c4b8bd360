"""Keeps the doctest collector away from the script that needs TensorFlow."""

collect_ignore = ["run_with_keras.py"]
