"""Documents of the editor area: each a pure function from a record to lines."""
