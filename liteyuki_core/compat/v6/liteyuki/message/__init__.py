"""Chat, under the names of 6.3.6 to 6.3.9."""
