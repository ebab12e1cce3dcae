"""Environment variables that look like ours and are not: named at start, with what was meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator

from exporter.settings.flags import ENVIRONMENT, FLAGS, TWIN_PREFIX

# Kubernetes sets these for each service of the namespace, under the name of the service.
_OF_KUBERNETES = re.compile(
    r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_OURS = "CLOUDFLARE_"
_CLOSE, _VERY_CLOSE = 0.7, 0.9


def misspelled(names: Iterable[str]) -> tuple[str, ...]:
    """A line for each variable of these that has no meaning here, though its name says so.

    Other programs have variables that begin with ``CLOUDFLARE_`` as well: of those only the ones
    that nearly have the name of ours are named, and only where ours is not set.
    """
    return tuple(_lines(frozenset(names)))


def _lines(names: frozenset[str]) -> Iterator[str]:
    twins = [flag.environment for flag in FLAGS]
    known = [*twins, *(variable.name for variable in ENVIRONMENT)]
    for name in sorted(names - set(known)):
        if not name.startswith(_OURS) or _OF_KUBERNETES.fullmatch(name):
            continue
        is_twin = name.startswith(TWIN_PREFIX)
        close = difflib.get_close_matches(
            name[len(TWIN_PREFIX) :] if is_twin else name,
            [one[len(TWIN_PREFIX) :] for one in twins] if is_twin else sorted({*known} - names),
            n=1,
            cutoff=_CLOSE if is_twin else _VERY_CLOSE,
        )
        if close:
            meant = f"{TWIN_PREFIX if is_twin else ''}{close[0]}"
            yield f"{name} is not a known environment variable; did you mean {meant}?"
        elif is_twin:
            yield f"{name} is not a known environment variable; see --help"
