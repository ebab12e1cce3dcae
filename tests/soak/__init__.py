"""Soak test: one exporter, random faults, many clients, compared with the expected state.

``make soak SOAK_ARGS='--minutes 10 --seed 7'``; a test runs some seconds of it.

How errors are detected: `truth` derives the contents of an account from a version number, which
keeps growing and is in each portal's name. So an exposition shows its own version, everything else
in it must match that version, and the version must have been the newest at some time between the
start of a listing that the scrape may have joined and the end of the scrape. `api` answers with the
newest version, or injects a fault and records when. An account may only be down for a scrape that
overlaps a fault of its own, and only fail for reasons that its faults can cause. `operator` changes
the configuration and records when, so that each exposition must show exactly the accounts of a
configuration that was in use during the scrape.
"""
