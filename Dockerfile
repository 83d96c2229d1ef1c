# Two stages: the first builds the environment, the second has neither compiler nor pip's cache and runs as nobody special.
FROM python:3.11-slim-bookworm AS build

WORKDIR /src
COPY requirements/runtime.txt requirements/fast-parser.txt requirements/
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/* \
    && python -m venv /opt/auth-server \
    && /opt/auth-server/bin/pip install --no-cache-dir --require-hashes -r requirements/runtime.txt \
    && /opt/auth-server/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements/fast-parser.txt
# Copied, not built: a build tool would be the one thing that no lock file covers.
COPY tools/install_here.py tools/
COPY auth_server auth_server
RUN /opt/auth-server/bin/python tools/install_here.py --copy

FROM python:3.11-slim-bookworm

LABEL org.opencontainers.image.title="auth-server" \
    org.opencontainers.image.description="A standalone OAuth 2.1 and OpenID Connect authorization server" \
    org.opencontainers.image.licenses="MIT"
RUN useradd --system --uid 10001 --home-dir /data --create-home auth \
    && install -d -m 0700 -o auth -g auth /data /keys
COPY --from=build /opt/auth-server /opt/auth-server
ENV PATH=/opt/auth-server/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    AUTH_SERVER_HOST=0.0.0.0 \
    AUTH_SERVER_HOME=/data \
    AUTH_SERVER_KEYS_DIR=/keys
USER 10001
VOLUME ["/data", "/keys"]
EXPOSE 2342
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import os, ssl, urllib.request as u; e = os.environ.get; t = bool(e('AUTH_SERVER_TLS_CERT')); u.urlopen(f\"http{'s' * t}://127.0.0.1:{e('AUTH_SERVER_PORT', 2342)}/livez\", timeout=2, context=ssl._create_unverified_context() if t else None)"]
ENTRYPOINT ["python", "-m", "auth_server"]
CMD ["serve"]
