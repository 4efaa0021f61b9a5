# Lesto's image: JobManager, TaskManager and the whole command line in one.
#
#   docker build -t lesto .
#   docker run --rm lesto --help
#
# docs/how-to/docker.md tells how it is used, configured and extended. No syntax beyond what the
# classic builder, BuildKit, buildah and kaniko all know.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# ------------------------------------------------------------------ dependencies: changes rarely
FROM ${PYTHON_IMAGE} AS dependencies
# Extras of pyproject.toml, with commas between: kafka, s3, avro, postgres, pydantic, all.
ARG LESTO_EXTRAS=kafka,s3
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
COPY pyproject.toml deploy/docker/requirements.py /build/
# Byte code that is valid whatever a layer does to modification times.
RUN python3 -m venv /opt/lesto \
    && python3 /build/requirements.py /build/pyproject.toml "${LESTO_EXTRAS}" > /build/requirements.txt \
    && /opt/lesto/bin/pip install --no-compile -r /build/requirements.txt \
    && /opt/lesto/bin/python /build/requirements.py --trim /opt/lesto \
    && /opt/lesto/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/lesto/lib

# ------------------------------------------------------------ builder: the wheel, warm kernels
FROM dependencies AS builder
RUN /opt/lesto/bin/pip wheel --no-deps --wheel-dir /build/tools "setuptools>=77" wheel
COPY . /build/source
RUN /opt/lesto/bin/pip wheel --no-deps --no-index --find-links /build/tools \
        --wheel-dir /build/wheels /build/source
# The machine code of the kernels is cached under the modification times of their sources and under
# the processor they are for: both must be the same wherever the image runs. Layers keep whole
# seconds only, and the entry point names a processor that nearly every machine is.
COPY deploy/docker/docker-entrypoint.sh deploy/docker/healthcheck.py /opt/lesto/libexec/
RUN chmod 0755 /opt/lesto/libexec/docker-entrypoint.sh \
    && /opt/lesto/bin/pip install --no-deps --no-index --no-compile /build/wheels/*.whl \
    && find /opt/lesto/lib/python3*/site-packages/lesto -name '*.py' -exec touch -d @1700000000 {} + \
    && /opt/lesto/bin/python -m compileall -q --invalidation-mode unchecked-hash \
        /opt/lesto/lib/python3*/site-packages/lesto \
    && NUMBA_CACHE_DIR=/opt/lesto/kernels /opt/lesto/libexec/docker-entrypoint.sh \
        /opt/lesto/bin/python -c "from lesto.kernels import warm; print(warm(), 'kernels')" \
    && mkdir -p /out && cp -a --parents /opt/lesto/lib/python3*/site-packages/lesto \
        /opt/lesto/lib/python3*/site-packages/lesto-*.dist-info /opt/lesto/bin/lesto \
        /opt/lesto/kernels /opt/lesto/libexec /out/

# ---------------------------------------------------------------------------------------- image
FROM ${PYTHON_IMAGE} AS lesto
ARG LESTO_VERSION=dev
LABEL org.opencontainers.image.title="Lesto" \
      org.opencontainers.image.description="Exactly-once stateful stream processing in Python" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${LESTO_VERSION}"
# tini is the first process: it reaps what user code leaves behind and hands signals on.
# 9999 is the user of Flink's image, so that volumes can be taken over. The standard library comes
# without byte code, which no process but root's could keep.
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
    && groupadd --system --gid 9999 lesto \
    && useradd --system --home-dir /var/lib/lesto --uid 9999 --gid lesto --shell /usr/sbin/nologin lesto \
    && mkdir -p /var/lib/lesto/checkpoints /var/lib/lesto/savepoints /etc/lesto /opt/job \
    && chown -R lesto:lesto /var/lib/lesto \
    && python3 -m compileall -q --invalidation-mode unchecked-hash \
        -x '/(test|tests|idlelib|lib2to3|tkinter|turtledemo|ensurepip|dist-packages)/' \
        "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY --from=dependencies /opt/lesto /opt/lesto
COPY --from=builder /out/ /
COPY deploy/docker/config.yaml /etc/lesto/config.yaml
ENV PATH=/opt/lesto/bin:$PATH \
    LESTO_CONF_DIR=/etc/lesto \
    NUMBA_CACHE_DIR=/opt/lesto/kernels \
    XDG_CACHE_HOME=/tmp/.cache \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 9999:9999
WORKDIR /opt/job
# RPC, REST and dashboard, metrics.
EXPOSE 6123 8081 9249
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/opt/lesto/bin/python", "-I", "/opt/lesto/libexec/healthcheck.py"]
ENTRYPOINT ["/usr/bin/tini", "--", "/opt/lesto/libexec/docker-entrypoint.sh"]
CMD ["--help"]
