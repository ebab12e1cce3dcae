"""Simulates the API's two list endpoints on loopback, for the demo, tests and benchmarks.

Independent of the exporter: neither imports the other, except for the demo.
"""
