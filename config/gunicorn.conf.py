"""For those who start gunicorn themselves: gunicorn -c config/gunicorn.conf.py auth_server.wsgi:application

`auth-server serve` uses the same settings without this file. The environment decides (config/auth-server.toml); run
`auth-server db upgrade` first.
"""

import os

from auth_server import cores, settings
from auth_server.cli.web_servers import gunicorn_options

loaded = settings.load(os.environ).settings
globals().update(gunicorn_options(loaded))
if loaded.pin_workers:
    cores.pin_children()
