"""What the whole test run is under, the examples in docstrings included: nothing from outside.

No program is kept from one run to the next, and no self-test runs beside a `fit`; the tests of
these two turn them on for themselves.
"""

import os

os.environ["EVENKEEL_SELFTEST"] = "off"
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
