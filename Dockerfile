# The image of the exporter: Python, the exporter and the libraries that they need; no shell, no
# package manager, no root. It wants nothing to be writable.
#
#     docker build --build-arg REVISION="$(git rev-parse HEAD)" -t cloudflare-mcp-exporter .
#     docker run --rm -p 127.0.0.1:10180:10180 --read-only --cap-drop ALL cloudflare-mcp-exporter --demo
#
# The base is pinned by a dated tag and by its digest; Dependabot keeps both current.
FROM debian:trixie-20260918-slim@sha256:a99cfc517144bc59b1978475ec53b46ecabec7e43635402ee5b77cc54cd1b20a AS build

# A pinned version would be gone from the archive with the next security update.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv

COPY deploy/image/root-file-system /usr/local/bin/
RUN root-file-system /root-file-system

# One environment builds the wheel; the other one is shipped, and has no pip.
COPY deploy/image/build-requirements.txt deploy/image/requirements.txt /requirements/
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --only-binary :all: --require-hashes \
        -r /requirements/build-requirements.txt \
    && python3 -m venv --without-pip /opt/exporter \
    && /opt/build/bin/pip --python /opt/exporter/bin/python3 install --no-cache-dir \
        --only-binary :all: --require-hashes -r /requirements/requirements.txt

ARG REVISION=unknown
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY exporter exporter
COPY docs/runbooks docs/runbooks
RUN echo "$REVISION" > exporter/REVISION \
    && /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation \
        --wheel-dir /wheels . \
    && /opt/build/bin/pip --python /opt/exporter/bin/python3 install --no-cache-dir --no-deps \
        --no-index /wheels/*.whl
COPY deploy/image/healthcheck.py /opt/exporter/
# A clone under umask 077 has files that nobody but their owner may read.
RUN chmod 0644 /opt/exporter/healthcheck.py \
    && mkdir -p /root-file-system/opt \
    && cp -a /opt/exporter /root-file-system/opt/ \
    && chroot /root-file-system /opt/exporter/bin/cloudflare-mcp-exporter --version


FROM scratch

COPY --from=build /root-file-system /

ARG REVISION=unknown
ARG VERSION=unknown
LABEL org.opencontainers.image.title="cloudflare-mcp-exporter" \
    org.opencontainers.image.description="Prometheus exporter for Cloudflare MCP portals and the MCP servers behind them" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$REVISION"

ENV PATH=/opt/exporter/bin:/usr/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1

# A number, so that Kubernetes can see that it is not root. No file belongs to this user.
USER 65532:65532
WORKDIR /
EXPOSE 10180
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["/opt/exporter/bin/python3", "/opt/exporter/healthcheck.py"]
ENTRYPOINT ["/opt/exporter/bin/cloudflare-mcp-exporter"]
