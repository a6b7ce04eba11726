# A CPU image with the command line, fleets included:
#   docker build -t skyweave .
#   docker run --rm -v "$PWD:/work" skyweave demo --fleet 0 -o demo
#   docker run --rm -v "$PWD:/work" --network host skyweave node node.yaml
# Mounted folders must be writable by uid 1000, or give --user.
FROM python:3.12-slim AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV UV_COMPILE_BYTECODE=1
RUN pip install --no-cache-dir uv==0.13.9 hatchling==1.33.0 build==1.6.1
WORKDIR /source
COPY pyproject.toml README.md LICENSE constraints.txt ./
ARG EXTRAS="--extra geo --extra link"
# hadolint ignore=SC2086
RUN uv venv /opt/skyweave \
    && uv pip compile --quiet --torch-backend cpu --constraint constraints.txt ${EXTRAS} \
        pyproject.toml --output-file /tmp/requirements.txt \
    && uv pip install --no-cache --python /opt/skyweave --torch-backend cpu --requirement /tmp/requirements.txt
COPY configs configs
COPY src src
RUN python -m build --no-isolation --wheel --outdir /tmp/dist \
    && uv pip install --no-cache --python /opt/skyweave --no-deps /tmp/dist/*.whl

FROM python:3.12-slim
LABEL org.opencontainers.image.title="skyweave" org.opencontainers.image.licenses="Apache-2.0"
# rasterio's wheel needs libexpat, which the slim image may lack
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends libexpat1 && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home skyweave && install -d -o skyweave -g skyweave /work
COPY --from=build /opt/skyweave /opt/skyweave
ENV PATH="/opt/skyweave/bin:$PATH" PYTHONUNBUFFERED=1
USER 1000:1000
WORKDIR /work
ENTRYPOINT ["skyweave"]
CMD ["--help"]
