"""A sandbox with caches of its own, for trying cachetop where there is nothing to look at yet."""
