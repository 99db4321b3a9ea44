"""Tests of chat in the main process."""
