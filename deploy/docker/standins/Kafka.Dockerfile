# A stand-in for apache/kafka where no registry can be reached: the jars of scripts/kafka and Debian's
# Java. scripts/docker-base kafka builds it, with build/kafka/<version>/lib as `lib`.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE}
RUN apt-get update \
    && mkdir -p /usr/share/man/man1 \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 1000 appuser \
    && mkdir -p /var/lib/kafka/data && chown appuser /var/lib/kafka/data
COPY kafka.sh /opt/kafka/kafka.sh
COPY lib /opt/kafka/lib
USER appuser
ENTRYPOINT ["/bin/bash", "/opt/kafka/kafka.sh"]
