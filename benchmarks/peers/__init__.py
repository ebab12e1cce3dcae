"""The programs that the exporter is compared with, each one a process of its own."""
