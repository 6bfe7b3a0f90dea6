# The suite in a container. Building it fetches all that it needs; then it runs without a network:
#
#   docker build -t nextgpt-lite .
#   docker run --rm --network host nextgpt-lite                  JupyterLab on 127.0.0.1
#   docker run --rm --network none nextgpt-lite make tour        or any other target
#
# With a GPU: --build-arg TORCH_INDEX= takes the torch of PyPI; run it with --gpus all.
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /suite
COPY . .
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN make env TORCH_INDEX=$TORCH_INDEX && rm -rf ~/.cache/pip
CMD ["make", "lab"]
