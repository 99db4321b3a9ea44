"""Programs: executables that run as children, without a link to the main process."""
