"""The names of LiteyukiBot v6."""
