"""Metrics: declarations, samples, exposition formats."""
