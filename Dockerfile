# Both programs and the sample receiver, each as a target of its own; none runs as root, none writes to its file system.
#
#   docker build --target api -t taskwire-api .

FROM node:20-bookworm-slim AS page
WORKDIR /source/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY web .
RUN npm run build

FROM rust:1.90-bookworm AS build
WORKDIR /source
COPY . .
COPY --from=page /source/web/dist web/dist
# The registry and the target directory are kept between builds; what is needed of them is copied out.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --locked --release -p taskwire -p taskwire-indexer -p taskwire-tests \
        --bin taskwire-api --bin taskwire-indexer --bin receiver \
    && mkdir /programs \
    && cp target/release/taskwire-api target/release/taskwire-indexer target/release/receiver /programs/

FROM debian:bookworm-slim AS base
# Roots for https targets, the newest there are.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home taskwire
USER 10001:10001
WORKDIR /tmp

FROM base AS api
COPY --from=build /programs/taskwire-api /usr/local/bin/
ENV TASKWIRE_API_LISTEN=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["taskwire-api", "healthcheck"]
ENTRYPOINT ["taskwire-api"]

FROM base AS indexer
COPY --from=build /programs/taskwire-indexer /usr/local/bin/
ENV TASKWIRE_INDEXER_LISTEN=0.0.0.0:9464
EXPOSE 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["taskwire-indexer", "healthcheck"]
ENTRYPOINT ["taskwire-indexer"]

FROM base AS receiver
COPY --from=build /programs/receiver /usr/local/bin/
EXPOSE 9000
HEALTHCHECK --interval=10s --timeout=5s CMD ["receiver", "--listen", "0.0.0.0:9000", "--healthcheck"]
ENTRYPOINT ["receiver"]
CMD ["--listen", "0.0.0.0:9000"]
