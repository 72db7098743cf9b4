"""The terminal app of cachetop: draws what the library says and decides nothing."""
