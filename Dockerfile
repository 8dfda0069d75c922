# syntax=docker/dockerfile:1
# `item serve` on ONNX Runtime, without torch and what only training needs. docs/serve.md says how to use it:
#
#   docker build -t item-embed .
#   docker run --rm -p 8000:8000 -e ITEM_API_KEY -v "$PWD/shop:/shop" item-embed /shop/index --model /shop/served
FROM python:3.12-slim AS build
WORKDIR /src
COPY . .
# The package's own list, so that there is no second one to keep.
RUN python -c "import tomllib; \
    project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
    extras = project['optional-dependencies']; \
    needed = [*project['dependencies'], *extras['serve'], *extras['postgres'], 'onnxruntime>=1.19']; \
    training = ('torch', 'transformers', 'accelerate', 'tensorboard', 'matplotlib'); \
    print('\n'.join(name for name in needed if not name.startswith(training)))" > requirements.txt \
    && python -m venv /opt/item \
    && /opt/item/bin/pip install --no-cache-dir -r requirements.txt \
    && /opt/item/bin/pip install --no-cache-dir --no-deps .

FROM python:3.12-slim
COPY --from=build /opt/item /opt/item
# A number, since a cluster can tell of it alone that it is not root.
USER 10001
# The port by a variable, which the check of health reads too: of a --port it would not know.
ENV PATH=/opt/item/bin:$PATH PYTHONUNBUFFERED=1 ITEM_LISTEN_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as http; \
        http.urlopen('http://localhost:' + os.environ['ITEM_LISTEN_PORT'] + '/health', timeout=4)"]
ENTRYPOINT ["item", "serve", "--host", "0.0.0.0"]
