"""Make the tables and the client; run in this folder with Django's environment."""

import os

import django
from django.core.management import call_command

django.setup()

from oauth2_provider.models import Application  # noqa: E402  # there is none before the setup

call_command("migrate", verbosity=0)
Application.objects.create(
    name="bench",
    client_id=os.environ["CLIENT_ID"],
    client_secret=os.environ["CLIENT_SECRET"],
    hash_client_secret=False,  # Django would hash as it does passwords, 0.4 s for each token
    client_type=Application.CLIENT_CONFIDENTIAL,
    authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
)
