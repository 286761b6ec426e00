"""What both clients make of a server that says whatever a test scripts."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.async_client import MOST_CONNECTIONS, AsyncKoreClient
from airflow_provider_kore.api.client import LARGEST_ANSWER, KoreClient
from airflow_provider_kore.api.exchange import Answer, NoAnswer, Request

LOOK = Request("GET", "/status/eud-1%3A2")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Answers each request with the next of its scripts: bytes, or a function that is given the writer."""

    def __init__(self, *scripts):
        self.scripts = list(scripts)
        self.heads = []
        self.connections = 0

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while not writer.is_closing():
                self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
                script = self.scripts.pop(0) if self.scripts else OK
                if callable(script):
                    await script(writer)
                else:
                    writer.write(script)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def exchanging(client_type, *scripts, longest_silence=5.0):
    """A server, and the exchange of a client with it."""
    script = Server(*scripts)
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    account = KoreAccount(url, "cs-1", client_secret="s" * 64, timeout=longest_silence)
    try:
        if client_type is KoreClient:
            with KoreClient(account) as client:
                yield lambda request: asyncio.to_thread(client.run, asking(request)), script
        else:
            client = await AsyncKoreClient.create(account)
            yield lambda request: client.run(asking(request)), script
            await client.close()
    finally:
        server.close()


def asking(request):
    answer = yield request
    return answer


@pytest.fixture(params=[KoreClient, AsyncKoreClient])
def client_type(request):
    return request.param


async def close(writer):
    writer.close()


async def reset(writer):
    writer.transport.abort()


async def silence(writer):
    await asyncio.sleep(3)


async def test_an_answer_is_read_whole_whatever_its_framing(client_type):
    chunked = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4\r\n": 1\r\n1\r\n}\r\n0\r\n\r\n'
    hinted = b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK

    async def and_close(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}")
        writer.close()

    async with exchanging(client_type, chunked, hinted, and_close, OK) as (exchange, _):
        contents = [(await exchange(LOOK)).content for _ in range(4)]
    assert contents == [b'{"a": 1}', b"{}", b"{}", b"{}"]


async def test_each_request_goes_to_its_very_path_with_a_token_of_its_own(client_type):
    async with exchanging(client_type) as (exchange, server):
        await exchange(LOOK)
        await exchange(LOOK)
    assert all(head.startswith("GET /status/eud-1%3A2 HTTP/1.1\r\n") for head in server.heads)
    headers = [dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line) for head in server.heads]
    assert headers[0]["host"] == headers[1]["host"]
    assert headers[0]["auth"] != headers[1]["auth"]


async def test_status_and_retry_after_come_through_and_a_redirect_is_not_followed(client_type):
    throttle = b"HTTP/1.1 429 Slow Down\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"
    redirect = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    async with exchanging(client_type, throttle, redirect) as (exchange, server):
        answers = [await exchange(LOOK) for _ in range(2)]
    assert answers == [Answer(429, "7", b""), Answer(302, None, b"")]
    assert len(server.heads) == 2


@pytest.mark.parametrize(
    ("script", "longest_silence"),
    [
        (reset, 5.0),
        (silence, 0.1),
        (b"no HTTP at all\r\n\r\n", 5.0),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, 5.0),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd", 5.0),
    ],
    ids=["reset", "silent", "not HTTP", "endless head", "not gzip"],
)
async def test_what_was_sent_may_have_been_received(client_type, script, longest_silence):
    # Of a call that reads, aiohttp itself tries again when its connection was closed.
    scripts = (script, script) if script is reset else (script,)
    async with exchanging(client_type, *scripts, longest_silence=longest_silence) as (exchange, _):
        answer = await exchange(LOOK)
        assert isinstance(answer, NoAnswer)
        assert answer.received
        assert "HTTP at all" not in answer.reason


async def test_what_never_left_was_not_received(client_type):
    account = KoreAccount("http://127.0.0.1:1", "cs-1", client_secret="s" * 64)
    if client_type is KoreClient:
        answer = await asyncio.to_thread(KoreClient(account).run, asking(LOOK))
    else:
        client = await AsyncKoreClient.create(account)
        answer = await client.run(asking(LOOK))
        await client.close()
    assert isinstance(answer, NoAnswer)
    assert not answer.received


@pytest.mark.parametrize("length", [b"Content-Length: 99999999", b"Transfer-Encoding: chunked"])
async def test_an_answer_is_given_up_once_it_is_too_large(client_type, length):
    written = 0

    async def pour(writer):
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n\r\n")
        piece = b"x" * 65536
        while written < 5 * LARGEST_ANSWER:
            writer.write(b"10000\r\n" + piece + b"\r\n" if b"chunked" in length else piece)
            written += len(piece)
            await writer.drain()

    async with exchanging(client_type, pour) as (exchange, _):
        assert "10 MB" in (await exchange(LOOK)).reason
    assert written < 4 * LARGEST_ANSWER


# --- on an event loop only ------------------------------------------------------------------------------------------


async def test_at_most_ten_connections_are_open_on_a_loop():
    async with exchanging(AsyncKoreClient) as (exchange, server):
        answers = await asyncio.gather(*(exchange(LOOK) for _ in range(100)))
    assert all(isinstance(answer, Answer) for answer in answers)
    assert server.connections <= MOST_CONNECTIONS == 10


async def test_nothing_is_ever_submitted_on_a_loop():
    async with exchanging(AsyncKoreClient) as (exchange, server):
        with pytest.raises(ValueError, match="nothing is submitted"):
            await exchange(Request("DELETE", "/erase", b"[1]"))
    assert server.heads == []


async def test_a_cancelled_exchange_leaves_no_connection_behind():
    async with exchanging(AsyncKoreClient, silence) as (exchange, server):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(exchange(LOOK), 0.1)
        assert (await exchange(LOOK)).content == b"{}"
        assert server.connections == 2
