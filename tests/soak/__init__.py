"""A soak: one exporter, random faults, many clients, and the truth to compare it with.

``make soak SOAK_ARGS='--minutes 10 --seed 7'``; a test runs some seconds of it.

How it tells a lie from the truth. `truth` makes what an account holds from a version number, which
grows all the time and stands in each portal's name. So an exposition says itself which version it
shows, everything else in it must be what that version holds, and the version must have been the
newest at some moment between the start of a listing that the scrape may have joined and the end of
the scrape. `api` answers with the newest version, or commits a fault and remembers when. An account
may only be down for a scrape that saw a fault of its own, and only fail for reasons that its faults
give. `operator` changes the configuration and remembers when, so that each exposition must show
exactly the accounts of a configuration that was in force while it was made.
"""
