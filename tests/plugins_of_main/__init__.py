"""Plugins of the main process, most of them in projects of their own that a real bot runs."""
