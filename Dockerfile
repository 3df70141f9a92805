# A service of yours: FROM this image, copy your package in, and name it: CMD ["run", "shop:shop", "--services", "payments"]
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY src src
COPY examples examples
RUN pip wheel --no-deps --wheel-dir /wheels .

FROM python:3.12-slim
COPY constraints.txt /tmp/
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt "$(ls /wheels/*.whl)[all]" \
    && rm -rf /wheels /tmp/constraints.txt \
    && useradd --create-home farandole
USER farandole
WORKDIR /home/farandole
STOPSIGNAL SIGTERM
ENTRYPOINT ["farandole"]
CMD ["--help"]
