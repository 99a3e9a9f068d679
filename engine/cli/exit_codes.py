"""Exit codes of the command."""

from typing import Final

DONE: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
ANOMALIES_FOUND: Final = 3
INTERRUPTED: Final = 130
