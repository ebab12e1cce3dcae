"""Timelines made at random, and the promises of the alert rules checked on each of them.

- `truth`: what accounts, portals and servers really are, minute by minute.
- `weather`: how they are watched: exporters, scrapes that fail, listings that fail.
- `making`: both from a seed.
- `series`: what Prometheus would store of it.
- `firing`: which alerts fire, judged by promtool.
- `promises`: what must hold between the truth, the weather and the alerts, by labels alone.
- `shrinking`: the smallest timeline that still breaks a promise.

All times are whole minutes from the start of a timeline.
"""
