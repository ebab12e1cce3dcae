"""The certificate authorities that probes trust, loaded once.

`requests` loads them again for each new connection, which takes six times as long as everything
else in a probe. A context is shared by all threads.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path

from requests.utils import DEFAULT_CA_BUNDLE_PATH


def tls_context(path: str) -> ssl.SSLContext:
    """Verifies certificates and names; a file that was replaced is loaded again.

    Args:
        path: a file of authorities in PEM, or a directory of them; empty for those of `requests`.

    Raises:
        OSError: it cannot be read, or holds no authority.
    """
    file = Path(path or DEFAULT_CA_BUNDLE_PATH)
    found = file.stat()
    return _loaded(file, found.st_mtime_ns, found.st_size, found.st_ino)


@lru_cache(maxsize=8)
def _loaded(file: Path, *_version: int) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if file.is_dir():
        context.load_verify_locations(capath=str(file))
    else:
        context.load_verify_locations(cafile=str(file))
    return context
