"""The package of LiteyukiBot v7, which a bot of v6 has not."""

raise ImportError(
    "liteyukibot is LiteyukiBot v7: a plugin that was written for v7 runs on v7 alone, and this "
    "bot has the names of v6"
)
