"""The main process's switchboard: who holds which channel, and which messages are under way.

Imports any other room of `comm`. Nothing in `comm` imports this one."""
