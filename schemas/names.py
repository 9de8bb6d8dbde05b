"""Which names components have: one rule, because topics, groups, folders and transactional ids are made from them.

A name has 1 to 70 ASCII letters, digits, dots, dashes and underscores, as Kafka's topics do; "." and ".." are none.
Kafka takes 249 characters; the longest that is made from names is that of three of them,
`<store>.events.<service>.<worker>.dlq.state`, or of a view's copy, `<view>.v<version>.by`, in place of the first.
"""

from __future__ import annotations

import re

LONGEST = 70
"""How many characters a name may have."""
LONGEST_SLOT = 200
"""The same for a process's slot, which stands in no topic: the name of a machine fits."""
_OTHER = re.compile(r"[^A-Za-z0-9._-]")


def unfit(name: object, example: str, *, longest: int = LONGEST) -> str:
    """Why this cannot be a name, and what can, for the end of an error's sentence; empty: it can be one."""
    if not isinstance(name, str):
        why = f"{name!r} is no text"
    elif not name:
        why = "it is empty"
    elif name in (".", ".."):
        why = f"{name!r} is a folder's"
    elif found := _OTHER.search(name):
        why = f"{name!r} holds {found.group()!r}"
    elif len(name) > longest:
        why = f"{name!r} has {len(name)} characters"
    else:
        return ""
    return (
        f"{why}. Topics, groups and folders are named after it: give 1 to {longest} letters a-z or A-Z, digits, dots, "
        f"dashes and underscores, such as {example!r}"
    )


def check_name(what: str, name: object, example: str, *, longest: int = LONGEST) -> None:
    """Refuse what cannot be a name. `what` has it, such as `Service`.

    Raises:
        ValueError: it holds something else, is empty or too long; names both and an example.
        TypeError: it is no str.
    """
    if why := unfit(name, example, longest=longest):
        error = ValueError if isinstance(name, str) else TypeError
        raise error(f"{what} cannot have this name: {why}")
