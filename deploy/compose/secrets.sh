#!/bin/sh
# Makes the files in secrets/ that compose.yaml names; what is there stays as it is. Nobody but you may enter the folder;
# the files themselves can be read by the containers, which run as users of their own.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
cd secrets

put() {  # put FILE TEXT
    [ -e "$1" ] || printf '%s\n' "$2" > "$1"
}

put admin_password "$(openssl rand -hex 12)"
put key_encryption_key "$(openssl rand -base64 32)"
put postgresql_password "$(openssl rand -hex 24)"
put database_url "postgresql+psycopg://auth:$(cat postgresql_password)@postgresql/auth"
redis_password=$(openssl rand -hex 24)
if [ ! -e redis_url ]; then
    put redis.conf "requirepass $redis_password
dir /data
appendonly yes
appendfsync everysec
maxmemory 768mb
maxmemory-policy noeviction"
    put redis_url "redis://:$redis_password@redis:6379/0"
fi
# To try it out. Put your own certificate and its key here in their place.
[ -e tls.key ] || openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=auth.example.org" \
    -keyout tls.key -out tls.crt 2> /dev/null
chmod 444 -- *
