"""The versions of the servers that we speak to: one table for tests and docker-compose.

Exact versions, so that a new one is a visible change. Apache Kafka's is also that of
java/pom.xml, for machines without Docker.
"""

from typing import Final

IMAGES: Final = {
    "postgres": "postgres:16.10-alpine",
    "redis": "redis:7.4.5-alpine",
    "mongo": "mongo:8.0.13",
    "kafka": "apache/kafka:4.1.0",
}
