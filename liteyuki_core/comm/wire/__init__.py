"""From messages to the bytes of one link, and back.

Imports `loop`, and nothing else of `comm` outside of this folder."""
