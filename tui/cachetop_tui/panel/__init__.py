"""The conversion panel: one run as lanes on one time axis, the recent runs, and what happened in them."""
