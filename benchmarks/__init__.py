"""The exporter measured against what people would use instead; run by ``make bench``."""
