"""What a client sees: routes, formats, and the server under them."""
