"""The names of raw tables and columns: dlt's, in snake case."""

import functools
import re

# what dlt leaves as it is: most names are so, and dlt itself takes 0.4 s to import
_OWN = re.compile(r"_?[a-z][a-z0-9]*(_[a-z0-9]+)*")


@functools.cache
def snake_case(name: str) -> str:
    """The name that dlt gives a column or table of this name.

    Source: dlt's naming convention `snake_case`.
    """
    if _OWN.fullmatch(name):
        return name
    from dlt.common.normalizers.naming.snake_case import NamingConvention

    return str(NamingConvention().normalize_identifier(name))
