"""What LiteyukiBot v6 has of croterline, on top of this project's channels."""
