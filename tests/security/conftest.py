"""Attacks. Examples that hypothesis finds are few here, and the same in each run of the continuous integration."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "servers",
    deadline=None,
    max_examples=40,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("servers")
