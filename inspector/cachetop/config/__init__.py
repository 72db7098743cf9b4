"""The configuration file, config.toml: one schema for reading, editing, the settings screen and the docs.

`schema` says which keys there are and what each may be; `reading` checks a file against it, `writing` changes one
key and keeps everything else, comments included, `describing` makes the JSON Schema and the page of the docs.
"""

from cachetop.config.reading import Config, ConfigError, load
from cachetop.config.schema import APP, SETTINGS, Setting

__all__ = ["APP", "SETTINGS", "Config", "ConfigError", "Setting", "load"]
