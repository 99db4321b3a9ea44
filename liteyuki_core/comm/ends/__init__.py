"""One end of a channel: sending, receiving, and the check of what is sent.

Imports from `comm` only `loop`, `wire` and this folder."""
