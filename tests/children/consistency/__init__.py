"""Programs of several processes that all use the store at once."""
