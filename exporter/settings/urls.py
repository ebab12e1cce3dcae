"""URLs of the API and of proxies.

Errors never show one: people put keys and passwords in them.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from urllib.parse import unquote, urlsplit

LONGEST_HOST = 253
SHORTEST_SECRET = 8
"""Shorter ones are no credentials, and would make the log strike out ordinary words."""

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_CLOUDFLARE, _API_PATH = "api.cloudflare.com", "/client/v4"
_PROXY_RIGHT = "use http://HOST:PORT"


def is_host(text: str) -> bool:
    """Whether it can be the name of a host, or its address without brackets."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        labels = text.removesuffix(".").split(".")
        return len(text) <= LONGEST_HOST and all(_LABEL.fullmatch(label) for label in labels)
    return "%" not in text  # of this machine alone


def base_url(text: str) -> str:
    """An http or https URL without a slash at its end.

    Raises:
        ValueError: says what is wrong and what would be right.
    """
    if re.search(r"[^!-~]", text):
        raise ValueError("contains white space or non-ASCII characters; use https://HOST/PATH")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is not a valid URL; use https://HOST/PATH") from None
    if "@" in parts.netloc:
        raise ValueError("contains a user or a password; remove it")
    if parts.scheme not in {"http", "https"} or not is_host(host or "") or port == 0:
        raise ValueError("is not an http or https URL with a host; use https://HOST/PATH")
    if "?" in text or "#" in text:
        raise ValueError("contains a query or a fragment; remove it")
    return text.rstrip("/")


def api_url(text: str) -> str:
    """The base URL of the API, without a slash at its end.

    Raises:
        ValueError: says what is wrong and what would be right.
    """
    url = base_url(text)
    if urlsplit(url).hostname == _CLOUDFLARE and not url.endswith(_API_PATH):
        raise ValueError(f"does not end in {_API_PATH}; use https://{_CLOUDFLARE}{_API_PATH}")
    return url


def is_plain_remote(url: str) -> bool:
    """Whether requests to ``url`` cross a network unencrypted."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "http" or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


# --- proxies -----------------------------------------------------------------------------------


def proxy_url(text: str) -> str:
    """The URL of an HTTP proxy, user and password allowed, without a slash at the end.

    Raises:
        ValueError: says what is wrong and what would be right, and shows nothing of the text.
    """
    scheme, user, address = _split(text)
    if scheme.lower().startswith("socks"):
        raise ValueError("is a SOCKS proxy, which is not supported; use an HTTP proxy")
    if re.search(r"[/?#@\[\]\\]", user):
        raise ValueError(
            "contains one of / ? # @ [ ] \\ in the user or the password; write it as "
            "%2F, %3F, %23, %40, %5B, %5D, %5C"
        )
    try:
        path = urlsplit(base_url(f"{scheme}://{address}")).path
    except ValueError:
        path = "unknown"
    if path:
        raise ValueError(f"is not the URL of an HTTP proxy; {_PROXY_RIGHT}")
    _check_user(user)
    return text.rstrip("/")


def _check_user(user: str) -> None:
    """What becomes the ``Basic`` credentials of RFC 7617, which HTTP sends as Latin-1."""
    if re.search(r"[^!-~]", user):
        raise ValueError(
            "contains a space or a non-ASCII character in the user or the password; "
            "percent-encode it (%20 for a space)"
        )
    name, _, password = user.partition(":")
    sent = unquote(name) + unquote(password)
    if re.search(r"[^ -~\xa0-\xff]", sent):
        raise ValueError(
            "contains a character in the user or the password that cannot be sent in HTTP; "
            "use Latin-1 characters only"
        )
    if ":" in unquote(name):
        raise ValueError("contains a colon in the user, which HTTP cannot send; use another user")


def proxy_secrets(url: str) -> tuple[str, ...]:
    """What of a proxy's URL must never be shown: the password in each form that it takes.

    Takes any text.
    """
    _, user, _ = _split(url)
    name, _, password = user.partition(":")
    if not password and len(name) < SHORTEST_SECRET:
        return ()
    plain = f"{unquote(name)}:{unquote(password)}"
    sent = base64.b64encode(plain.encode("latin-1", "replace")).decode()
    # Where there is no password, the user is one: tokens are given so.
    secrets = (password or name, unquote(password or name), user, plain, sent)
    return tuple(dict.fromkeys(secrets))


def hidden_user(url: str, shown: str) -> str:
    """The URL with ``shown`` in place of user and password."""
    scheme, user, address = _split(url)
    return f"{scheme}://{shown}@{address}" if user else url


def _split(url: str) -> tuple[str, str, str]:
    """Scheme, user with password, and the rest; for any text."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    user, _, address = rest.rpartition("@")
    return scheme, user, address
