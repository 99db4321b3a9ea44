"""Faces of other projects on top of this one. Nothing here is imported unless it is asked for."""
