"""The matrix finds helpers of the other tests where `make crash-test` has them too."""

import sys

from tests.crash.client import PATHS

sys.path += [str(path) for path in PATHS if str(path) not in sys.path]
