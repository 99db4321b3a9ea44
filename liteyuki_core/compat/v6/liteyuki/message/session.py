"""A module that 6.3.9 has, with nothing in it."""
