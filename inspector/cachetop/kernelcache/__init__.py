"""The kernel caches: one file per format, and what each entry is, for which SM, in which state."""
