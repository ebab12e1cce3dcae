"""The alert rules and the dashboards as code: `python -m mixin` renders what is committed.

Not part of the installed package: it is a tool of the repository.
"""
