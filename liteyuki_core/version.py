"""The version of this package, for whoever is on any floor."""

__version__ = "0.1.0"
