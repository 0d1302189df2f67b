# The same images for people with docker:
#
#   docker build --target tars --output build/images .      the tars that `make images` writes, for docker load and ctr
#   docker build --target plugin --output build/bin .       kubectl-crashcart
#   docker build --target crashcart -t REGISTRY/crashcart . an image to push; --target toolbox is the other one
#
# It runs the project's own commands; builder/lock.*.json says which Debian packages get in, not this base. DEBIAN_MIRROR
# chooses where they come from.
#
# Checked: every command below in a fresh clone, and that the tars have the same bytes from another directory. Not checked,
# for want of a docker engine where this was written: `docker build` itself.
FROM debian:trixie-20260803-slim@sha256:3a39a0592364683e6bab97937b72cad5a8fa6dcbbee90edb3bb48c7f8e94f258 AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev make nodejs npm xz-utils zstd \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /crashcart
COPY package.json package-lock.json ./
# Native parts come prebuilt; what install scripts would compile is for tests only. Not `npm ci`: it wants the packages of
# every platform in the lock, and the versions and digests of this one's are there.
RUN npm install --no-save --ignore-scripts --no-audit --no-fund
COPY . .
ARG DEBIAN_MIRROR
# Debian's Node installs the packages; the pinned one, which is among them, runs the builder.
RUN node_modules/node-linux-*/bin/node builder/main.ts all
# The layers of an image, one over the other, are its root.
RUN set -eu; for image in crashcart toolbox; do \
      mkdir -p roots/$image tars/$image; \
      tar -x -C tars/$image -f build/images/$image.tar; \
      grep -o '"Layers":\[[^]]*' tars/$image/manifest.json | grep -o 'blobs/sha256/[0-9a-f]*' \
        | while read -r layer; do tar -x -C roots/$image -f "tars/$image/$layer"; done; \
    done

FROM scratch AS tars
COPY --from=build /crashcart/build/images/ /

FROM scratch AS plugin
COPY --from=build /crashcart/build/bin/kubectl-crashcart /

FROM scratch AS toolbox
COPY --from=build /crashcart/roots/toolbox/ /
ENTRYPOINT ["/crashcart-install"]
CMD ["/toolboxes/default.erofs"]

FROM scratch AS crashcart
COPY --from=build /crashcart/roots/crashcart/ /
ENV NODE_ENV=production PATH=/usr/bin
USER 65532
ENTRYPOINT ["/usr/bin/node"]
CMD ["/app/controller.cjs", "--help"]
