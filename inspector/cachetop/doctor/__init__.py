"""The doctor: what decides where everything is, what limits apply, which versions meet, and what to do about it."""
