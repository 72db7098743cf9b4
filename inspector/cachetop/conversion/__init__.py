"""Conversions: jobs, the worker process, its events, and what a run spent its time on."""
