"""Print the requirements of named extras and of the build, one a line: ``requirements.py cpu,train``.

Run by the Makefile before netsieve itself is installed, so it reads pyproject.toml and needs nothing else.
"""

import sys
import tomllib
from pathlib import Path


def requirements(extras: list[str]) -> list[str]:
    """Return the requirements of the extras, and of the build back end, sorted and once each."""
    content = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    named = set(content["build-system"]["requires"])
    for extra in extras:
        named.update(content["project"]["optional-dependencies"][extra])
    return sorted(named)


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1].split(","))))
