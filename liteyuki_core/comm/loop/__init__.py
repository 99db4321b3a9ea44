"""Event loops, threads and callbacks: waiting, waking, and calling callbacks.

Imports from `comm` only this folder."""
