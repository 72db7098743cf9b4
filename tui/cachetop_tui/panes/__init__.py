"""The three live panes: pure functions from a snapshot to lines, and a thin widget around each."""
