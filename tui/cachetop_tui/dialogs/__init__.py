"""The app's dialogs: start a conversion, and the list of keys."""
