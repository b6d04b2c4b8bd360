"""Keeps the doctest collector away from the recording scripts, which need Keras and PyTorch."""

collect_ignore_glob = ["record_*.py", "libraries.py"]
