"""What the tests of deploy/ share."""

from pathlib import Path

import pytest

from tests.deploy.proxies import make_certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificates of a proxy and of a client."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))
