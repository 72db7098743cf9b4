"""Deleting, on the screen: the review of a plan, the moment it is carried out, and what came of it.

`opening` is what the rest of the app calls. Nothing here deletes: `cachetop.prune` does.
"""
