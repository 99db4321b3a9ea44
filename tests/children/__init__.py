"""Programs that tests start, with the functions that their children run."""
