"""Flags, environment and file become one frozen value, or an error that says what to fix."""

from exporter.settings.arguments import given_log_format
from exporter.settings.effective import effective
from exporter.settings.flags import ENVIRONMENT, FLAGS, Flag, Variable
from exporter.settings.load import load
from exporter.settings.secret_files import SecretReader
from exporter.settings.values import (
    Account,
    Credentials,
    ListenAddress,
    Listing,
    Probes,
    Secret,
    Settings,
)

__all__ = [
    "ENVIRONMENT",
    "FLAGS",
    "Account",
    "Credentials",
    "Flag",
    "ListenAddress",
    "Listing",
    "Probes",
    "Secret",
    "SecretReader",
    "Settings",
    "Variable",
    "effective",
    "given_log_format",
    "load",
]
