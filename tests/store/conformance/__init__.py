"""What every implementation of State and Records must do, over the public interface alone.

A backend's test file says how to open it (`open_state`, `open_records`: callables that go to other processes, so
they can be pickled) and imports the classes.
"""
