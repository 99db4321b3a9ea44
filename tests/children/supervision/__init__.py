"""Programs whose children are started, stopped, restarted and fail."""
