"""What every room needs and none of them owns: untrusted text, units, cheap file access."""
