"""A child that sends and does what no honest one would: act by act, each in a life of its own."""
