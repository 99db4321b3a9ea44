"""What authors of plugins use while they write them."""
