"""Everything the app can be told to do, by name."""
