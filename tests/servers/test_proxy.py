"""The proxy loses what it is told to lose, and nothing else; shown on real servers."""

import asyncio

import psycopg
import pytest
from redis import Redis
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import TimeoutError as Late

from tests.eventually import eventually
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Proxy
from tests.servers.server import Server, fresh_name


def client(url: str) -> Redis:
    return Redis.from_url(url, socket_timeout=0.3, socket_connect_timeout=1, retry_on_timeout=False)


def test_the_answer_to_commit_is_lost_and_the_commit_is_not(database: str) -> None:
    at, _, name = database.rpartition("/")
    server = PostgresServer(service="postgres", url=at, on="", capabilities=frozenset({"proxied"}))
    with server.proxied() as proxy:
        with psycopg.connect(f"{proxy.url}/{name}", connect_timeout=5) as connection:
            connection.execute("CREATE TABLE t (n int)")
            connection.commit()
            connection.execute("INSERT INTO t VALUES (1)")
            proxy.hold(after=b"COMMIT")
            with pytest.raises(psycopg.OperationalError):
                connection.commit()

        assert proxy.lost == 1
        with psycopg.connect(f"{proxy.url}/{name}", connect_timeout=5) as again:
            assert again.execute("SELECT n FROM t").fetchall() == [(1,)]


def test_held_answers_are_lost_and_the_words_are_not(redis: Server) -> None:
    key = fresh_name()
    with redis.proxied() as proxy, client(proxy.url) as asked:
        asked.ping()
        proxy.hold()
        with pytest.raises(Late):
            asked.set(key, 1)
        lost = proxy.lost
        proxy.resume()

        assert lost >= 1
        assert asked.get(key) == b"1"
        asked.delete(key)


def test_a_line_that_lost_an_answer_is_cut_by_resume(redis: Server) -> None:
    with redis.proxied() as proxy, client(proxy.url) as asked:
        line = asked.connection_pool.get_connection()
        proxy.hold()
        line.send_command("ECHO", "lost")
        asyncio.run(eventually(lambda: proxy.lost))
        proxy.resume()
        with pytest.raises(Disconnected):
            line.read_response()


def test_a_cut_line_ends_and_a_new_one_is_welcome(redis: Server) -> None:
    with redis.proxied() as proxy, client(proxy.url) as asked:
        line = asked.connection_pool.get_connection()
        line.send_command("PING")
        assert line.read_response()
        proxy.cut()
        with pytest.raises(Disconnected):
            line.read_response()

        assert asked.ping()


def test_before_a_dead_server_it_refuses_and_afterwards_it_serves(redis: Server) -> None:
    redis.needs("kill")
    with redis.proxied() as proxy, client(proxy.url) as asked:
        redis.kill()
        with pytest.raises(Disconnected):
            asked.ping()
        redis.start()

        assert asked.ping()


def test_a_closed_proxy_takes_no_more() -> None:
    with Proxy(("127.0.0.1", 9)) as proxy:
        pass

    with client(f"redis://{proxy.address}/0") as asked, pytest.raises(Disconnected):
        asked.ping()
