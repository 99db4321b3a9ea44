"""The one true store in the main process, and the way of each process to it.

Imports `loop` and `wire`, and nothing else of `comm` outside of this folder."""
