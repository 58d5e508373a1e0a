"""How much is tried at random: little in `make test`, more in `make fuzz`. SEED repeats what was found."""

import os
from typing import Any

from hypothesis import settings

SEED = int(os.environ.get("SEED", "1"))


def budget(steady: Any, fuzz: Any) -> Any:
    """Examples, kills or cases of one test, in `make test` and in `make fuzz`."""
    return fuzz if settings.get_current_profile_name() == "fuzz" else steady
