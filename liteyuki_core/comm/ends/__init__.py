"""One end of a channel: sending, receiving, and what may be sent through it.

Imports `loop` and `wire`, and nothing else of `comm` outside this folder."""
