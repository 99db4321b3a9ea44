"""Event loops, threads and callbacks: who waits, who is woken, who calls what.

Imports nothing of `comm` outside this folder."""
