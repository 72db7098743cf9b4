"""The Hugging Face hub cache: repos, revisions, refs, files, partial downloads, residency in RAM."""
