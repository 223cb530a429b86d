# PostgreSQL's image with kbilling:
#
#   docker build -t kbilling .                            # PostgreSQL 17; --build-arg PG_MAJOR=18 for another one
#   docker run -d -e POSTGRES_PASSWORD=secret kbilling
ARG PG_MAJOR=17

FROM postgres:$PG_MAJOR AS build
RUN apt-get update && apt-get install -y --no-install-recommends g++ libicu-dev make "postgresql-server-dev-$PG_MAJOR"
COPY . /kbilling
WORKDIR /kbilling
ENV PG_CONFIG=/usr/lib/postgresql/$PG_MAJOR/bin/pg_config
RUN make -j"$(nproc)" all && make install DESTDIR=/staged

FROM postgres:$PG_MAJOR
COPY --from=build /staged /
