"""The version, read by the build and by `cachetop --version`."""

__version__ = "0.1.0"
