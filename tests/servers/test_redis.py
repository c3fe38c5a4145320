"""Redis, as tests get it: it answers, it forgets, and it dies and stands still on demand."""

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import TimeoutError as Late

from tests.servers.server import Server, fresh_name


def client(url: str) -> Redis:
    return Redis.from_url(url, socket_timeout=0.3, socket_connect_timeout=1)


def test_it_answers(redis: Server) -> None:
    key = fresh_name()
    with client(redis.url) as asked:
        asked.set(key, 1, ex=60)

        assert asked.get(key) == b"1"


def test_killed_and_started_it_serves_again_and_knows_nothing(redis: Server) -> None:
    redis.needs("kill")
    key = fresh_name()
    with client(redis.url) as asked:
        asked.set(key, 1)
        redis.kill()
        with pytest.raises(Disconnected):
            asked.ping()
        redis.start()

        assert asked.get(key) is None


def test_frozen_it_does_not_answer_and_then_it_does(redis: Server) -> None:
    redis.needs("freeze")
    with client(redis.url) as asked:
        asked.ping()
        with redis.freeze(), pytest.raises(Late):
            asked.ping()

        assert asked.ping()
