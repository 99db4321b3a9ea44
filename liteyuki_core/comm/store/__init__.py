"""The one true store in the main process, and each process's way to it.

Imports `loop` and `wire`, and nothing else of `comm` outside this folder."""
