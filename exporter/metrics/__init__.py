"""From values to the text that Prometheus reads."""
