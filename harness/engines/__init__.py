"""Engines answer Requests. Each has its own module, imported only when it is asked for."""
