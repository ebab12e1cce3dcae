"""Flags and environment variables become one frozen value, or one line that says what to mend."""

from exporter.settings.flags import ENVIRONMENT, FLAGS, Flag, Variable
from exporter.settings.load import load
from exporter.settings.values import Account, Credentials, ListenAddress, Settings

__all__ = [
    "ENVIRONMENT",
    "FLAGS",
    "Account",
    "Credentials",
    "Flag",
    "ListenAddress",
    "Settings",
    "Variable",
    "load",
]
