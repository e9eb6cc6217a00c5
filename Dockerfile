FROM python:3.13-slim-trixie AS build

# Without pip of its own, which nothing in the result needs: the base image's installs into it.
RUN python -m venv --without-pip /opt/venv
COPY requirements.txt /src/
RUN pip --python /opt/venv/bin/python install --no-cache-dir -r /src/requirements.txt
COPY setup.cfg pyproject.toml README.md LICENSE /src/
COPY scenext_service /src/scenext_service
RUN pip --python /opt/venv/bin/python install --no-cache-dir '/src[metrics]'


FROM python:3.13-slim-trixie

LABEL org.opencontainers.image.title="scenext_service" \
      org.opencontainers.image.description="Scenext teaching videos as MCP tools, over plain HTTP" \
      org.opencontainers.image.licenses="MIT"

COPY --from=build /opt/venv /opt/venv
WORKDIR /srv/scenext_service
COPY gunicorn.conf.py wsgi.py ./

# /dev/shm is memory in every container, and can be written to where the root file system cannot.
ENV PATH=/opt/venv/bin:$PATH PORT=8000 TMPDIR=/dev/shm
EXPOSE 8000
USER 10001:10001

# Not by urllib, which would ask the proxy of HTTP_PROXY, where one leads to Scenext.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import http.client, os, sys; there = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); there.request('GET', '/healthz'); sys.exit(there.getresponse().status != 200)"]

CMD ["gunicorn", "wsgi:app"]
