"""The main process's switchboard: who holds which channel, and what is under way.

Imports any other room of `comm`; nothing in `comm` imports it."""
