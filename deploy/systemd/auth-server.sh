#!/bin/sh
# The command line with the user, settings and secrets of the units: install it as /usr/local/sbin/auth-server, then, as
# root, `auth-server users ls`. Files that it writes go below /var/lib/auth-server.
set -eu
etc=/etc/auth-server

set -- sh -c '
    for name in key_encryption_key database_url redis_url; do
        file=$CREDENTIALS_DIRECTORY/$name
        [ ! -e "$file" ] || export "AUTH_SERVER_$(echo "$name" | tr a-z A-Z)_FILE=$file"
    done
    exec /opt/auth-server/bin/auth-server "$@"' auth-server "$@"
for name in key_encryption_key database_url redis_url; do
    [ ! -e "$etc/$name" ] || set -- "--property=LoadCredential=$name:$etc/$name" "$@"
done
exec systemd-run --quiet --pty --pipe --property=User=auth-server --property=DynamicUser=yes --property=UMask=0077 \
    --property=StateDirectory=auth-server --property=StateDirectoryMode=0700 \
    "--property=EnvironmentFile=$etc/environment" --setenv=AUTH_SERVER_HOME=/var/lib/auth-server "$@"
