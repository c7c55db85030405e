"""One thread for these tests: the networks are so small that more would only wait for each other."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
