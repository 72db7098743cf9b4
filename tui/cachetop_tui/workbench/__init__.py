"""The frame around the panes: layout by size, top strip, footer and status bar."""
