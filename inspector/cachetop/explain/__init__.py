"""Model or kernel: what they are and how they differ, told with this machine's own numbers.

The words lie in `en.toml` and `es.toml`, which have the same keys and placeholders. `cachetop explain` prints
them with the figures measured here; `docs/model-or-kernel.md` is the same page with the figures of an example.
"""
