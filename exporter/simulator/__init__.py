"""The two list endpoints of the API on loopback, for the demo, the tests and the benchmarks.

It stands alone: nothing here is imported by the exporter's own path from API to metrics, and
nothing of that path is imported here.
"""
