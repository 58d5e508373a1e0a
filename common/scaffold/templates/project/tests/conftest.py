"""What all tests have in common: examples."""

from hypothesis import settings

settings.register_profile("steady", max_examples=25, derandomize=True, database=None, deadline=None, print_blob=True)
settings.load_profile("steady")
