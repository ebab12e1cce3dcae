"""The status page at ``/``: what the last listings brought, for a person with a browser.

It never asks the API. The page is one document without scripts or other files.
"""
