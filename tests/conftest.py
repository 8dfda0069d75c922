"""What all tests share."""

from hypothesis import settings

# Machines are shared and busy: a test that takes long has not failed.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
