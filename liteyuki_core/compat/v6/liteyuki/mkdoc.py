"""Left out: v6's generator of its own documentation."""

raise ImportError(
    "liteyuki.mkdoc, which made the documentation of LiteyukiBot v6 itself, is left out; for that "
    "of a plugin use a tool such as griffe"
)
