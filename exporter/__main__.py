"""The command: ``cloudflare-mcp-exporter``, and ``python -m exporter``."""

import os
import signal
import sys


def entry_point() -> None:
    """Prepare the process for its imports and run the command."""
    # SIGHUP ends a process by default. It is blocked from here on until the exporter serves,
    # since the imports take a third of a second.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    # prometheus_client looks at these when it is imported: with one of them it keeps its counters
    # in files that several processes share, which this one has no use for.
    for name in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
        os.environ.pop(name, None)
    from exporter.cli import main  # noqa: PLC0415 - see above

    sys.exit(main(sys.argv[1:], os.environ))


if __name__ == "__main__":
    entry_point()
