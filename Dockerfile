FROM python:3.13-slim-trixie AS build

# The environment has no pip, because the result does not need it. The base image's pip installs into it.
RUN python -m venv --without-pip /opt/venv
COPY requirements.txt /src/
RUN pip --python /opt/venv/bin/python install --no-cache-dir -r /src/requirements.txt
COPY setup.cfg pyproject.toml README.md LICENSE /src/
COPY scenext_service /src/scenext_service
RUN pip --python /opt/venv/bin/python install --no-cache-dir '/src[metrics,oauth]'


FROM python:3.13-slim-trixie

LABEL org.opencontainers.image.title="scenext_service" \
      org.opencontainers.image.description="Scenext teaching videos as MCP tools, over plain HTTP" \
      org.opencontainers.image.licenses="MIT"

COPY --from=build /opt/venv /opt/venv
WORKDIR /srv/scenext_service
COPY gunicorn.conf.py wsgi.py ./

# /dev/shm is memory in every container, and is writable even if the root file system is not.
ENV PATH=/opt/venv/bin:$PATH PORT=8000 TMPDIR=/dev/shm
EXPOSE 8000
USER 10001:10001

# Do not use urllib, which would send the request to the proxy in HTTP_PROXY.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import http.client, os, sys; there = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); there.request('GET', '/healthz'); sys.exit(there.getresponse().status != 200)"]

CMD ["gunicorn", "wsgi:app"]
