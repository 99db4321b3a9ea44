"""Bot frameworks that run in child processes."""
