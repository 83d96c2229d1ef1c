#!/bin/sh
# Register the application at the server that `make run` starts, or give it a new secret, and start it.
set -eu
url=http://127.0.0.1:${PORT:=5000}
: "${ISSUER:=${AUTH_SERVER_ISSUER:-http://127.0.0.1:${AUTH_SERVER_PORT:-2342}}}"
set -- --redirect-uri "$url/callback" --post-logout-redirect-uri "$url/" --scope "openid profile email" --json
told=$(auth-server clients mod web-app "$@" --generate-secret 2>/dev/null ||
    auth-server clients add --client-id web-app --name "Web app" "$@")
CLIENT_ID=web-app
CLIENT_SECRET=$(printf %s "$told" | sed -n 's/.*"client_secret": *"\([^"]*\)".*/\1/p')
export ISSUER CLIENT_ID CLIENT_SECRET
exec flask --app "$(dirname "$0")/app.py" run --port "$PORT"
