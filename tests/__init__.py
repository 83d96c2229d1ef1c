"""The tests."""

import pytest

proves = pytest.mark.proves
"""What a test proves: numbers of the security catalogue, sections of specifications."""
