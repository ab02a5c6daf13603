"""The http probe against servers that behave, and servers that do not."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from devctl.health import address, exchange
from devctl.health.http import HttpChecker
from devctl.health.request import build_request
from devctl.plan import HttpProbe

if TYPE_CHECKING:
    from tests.health.conftest import Ask, Connection, Serve, Server

SHORT = 0.5  # seconds: the timeout of probes that are meant to run into it


def answering(head: str, body: bytes = b"") -> object:
    """A sin that is none: reads the request and gives this answer."""

    def sin(connection: Connection) -> None:
        connection.request()
        connection.say(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)

    return sin


def url(server: Server, host: str = "127.0.0.1", path: str = "/health") -> str:
    return f"http://{host}:{server.port}{path}"


OK = answering("HTTP/1.1 200 OK\nContent-Length: 15\nConnection: close", b'{"status":"ok"}')


def test_a_healthy_service_passes_with_its_status_and_time(serve: Serve, ask: Ask) -> None:
    """The detail is the one that status shows."""
    result = ask(HttpProbe(url(serve(OK))))
    assert result.ok
    assert result.detail.startswith("200 in ")
    assert result.detail.endswith("s")


def test_the_request_is_complete_and_ours(serve: Serve, ask: Ask) -> None:
    """Method, path, query, Host, headers and user info arrive as the manifest says."""
    seen: list[bytes] = []

    def sin(connection: Connection) -> None:
        seen.append(connection.request())
        connection.say(b"HTTP/1.1 204 No Content\r\n\r\n")

    server = serve(sin)
    probe = HttpProbe(
        f"http://me:p%40ss@127.0.0.1:{server.port}/a b?q=ü#part",
        method="POST",
        headers=(("X-Probe", "yes"),),
    )
    assert ask(probe).ok
    lines = seen[0].decode().split("\r\n")
    assert lines[0] == "POST /a%20b?q=%C3%BC HTTP/1.1"
    assert f"Host: 127.0.0.1:{server.port}" in lines
    assert "X-Probe: yes" in lines
    assert "Authorization: Basic bWU6cEBzcw==" in lines
    assert "Connection: close" in lines
    assert "Content-Length: 0" in lines
    assert any(line.startswith("User-Agent: devctl/") for line in lines)


def test_the_users_headers_replace_ours(serve: Serve, ask: Ask) -> None:
    """A Host of the user's own is the only one sent."""
    seen: list[bytes] = []

    def sin(connection: Connection) -> None:
        seen.append(connection.request())
        connection.say(b"HTTP/1.1 200 OK\r\n\r\n")

    assert ask(HttpProbe(url(serve(sin)), headers=(("host", "app.test"),))).ok
    assert seen[0].lower().count(b"host: ") == 1
    assert b"app.test" in seen[0]


@pytest.mark.parametrize(
    ("address", "port", "host"),
    [
        ("http://example.test", 80, "example.test"),
        ("https://example.test/", 443, "example.test"),
        ("http://[::1]:81/", 81, "[::1]:81"),
        ("http://[fe80::1%25lo]/", 80, "[fe80::1]"),
        ("http://bücher.test:8080", 8080, "xn--bcher-kva.test:8080"),
    ],
)
def test_ports_and_hosts_follow_from_the_url(address: str, port: int, host: str) -> None:
    """Default ports, IPv6 with a zone, and international names."""
    request = build_request(HttpProbe(address))
    assert request.target.port == port
    assert (b"host", host.encode()) in list(request.message.headers)


@pytest.mark.parametrize(
    "probe",
    [
        HttpProbe("ftp://127.0.0.1/"),
        HttpProbe("http:///nothing"),
        HttpProbe("http://127.0.0.1:99999/"),
        HttpProbe("http://[::1/"),
        HttpProbe("http://127.0.0.1/", headers=(("Bad Name", "x"),)),
        HttpProbe("http://127.0.0.1/", headers=(("X-Split", "a\r\nInjected: b"),)),
        HttpProbe("http://127.0.0.1/", method="G E T"),
        HttpProbe("http://127.0.0.1/", body="("),
        HttpProbe("http://" + "a" * 70 + ".test/"),
        HttpProbe("http://ü" + "a" * 70 + ".test/"),
        HttpProbe("http://nowhere.invalid/"),
    ],
    ids=lambda probe: str(probe.url)[:40] + probe.method + str(probe.headers)[:20],
)
def test_a_probe_that_can_never_work_says_why(ask: Ask, probe: HttpProbe) -> None:
    """Nothing raises: the reason is the detail."""
    result = ask(probe, 5.0)
    assert not result.ok
    assert result.detail


def test_a_wrong_status_quotes_the_body_on_one_line(serve: Serve, ask: Ask) -> None:
    """What the service says about itself is shown, without control sequences."""
    result = ask(HttpProbe(url(serve(answering("HTTP/1.1 503 Service Unavailable", b"model\r\n\x1b[31mnot   loaded\x00")))))
    assert not result.ok
    assert result.detail == "503 Service Unavailable: model [31mnot loaded"


def test_a_long_error_page_is_cut(serve: Serve, ask: Ask) -> None:
    """The detail stays a line."""
    result = ask(HttpProbe(url(serve(answering("HTTP/1.1 500 Oops", b"x" * 1_000_000)))))
    assert result.detail.startswith("500 Oops: xxx")
    assert len(result.detail) < 100


def test_the_body_of_a_wrong_answer_is_not_waited_for(serve: Serve, ask: Ask) -> None:
    """A 503 whose body never comes is known long before the timeout, so that the cadence goes on."""

    def sin(connection: Connection) -> None:
        connection.request()
        connection.say(b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\n")
        connection.wait()

    result = ask(HttpProbe(url(serve(sin))), 600.0)
    assert result.detail == "503 Busy"


def test_redirects_pass_by_default_and_are_not_followed(serve: Serve, ask: Ask) -> None:
    """A login redirect is an answer of a service that is up."""
    server = serve(answering("HTTP/1.1 302 Found\nLocation: /login\nContent-Length: 0"))
    assert ask(HttpProbe(url(server))).ok
    refused = ask(HttpProbe(url(server), status=((200, 299),)))
    assert not refused.ok
    assert refused.detail == "302 Found to /login; redirects are not followed"


def test_status_ranges_decide(serve: Serve, ask: Ask) -> None:
    """Any of several ranges is enough, and a status outside them is named with them."""
    server = serve(OK)
    assert ask(HttpProbe(url(server), status=((404, 404), (200, 200)))).ok
    assert ask(HttpProbe(url(server), status=((204, 204), (400, 499)))).detail == "200 OK, but 204, 400 to 499 is expected"


def test_the_body_is_searched(serve: Serve, ask: Ask) -> None:
    """`body` is a regex found anywhere in it."""
    server = serve(OK)
    assert ask(HttpProbe(url(server), body=r'"status":\s*"ok"')).ok
    result = ask(HttpProbe(url(server), body="broken"))
    assert not result.ok
    assert result.detail == '200, but \'broken\' is not in the body: {"status":"ok"}'


def test_chunked_bodies_are_put_together(serve: Serve, ask: Ask) -> None:
    """A pattern is found across the border of two chunks."""
    server = serve(answering("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"3\r\nrea\r\n2\r\ndy\r\n0\r\n\r\n"))
    assert ask(HttpProbe(url(server), body="^ready$")).ok


def test_a_body_without_a_length_ends_with_the_connection(serve: Serve, ask: Ask) -> None:
    """HTTP/1.0 servers still exist."""
    assert ask(HttpProbe(url(serve(answering("HTTP/1.0 200 OK", b"ready"))), body="^ready$")).ok


def test_a_body_is_searched_up_to_its_bound(serve: Serve, ask: Ask) -> None:
    """What comes after 64 KiB is not read."""
    server = serve(answering("HTTP/1.1 200 OK", b"early" + b" " * 200_000 + b"late"))
    assert ask(HttpProbe(url(server), body="early")).ok
    assert not ask(HttpProbe(url(server), body="late")).ok


def test_what_came_of_an_endless_body_is_judged_in_time(serve: Serve, ask: Ask) -> None:
    """An event stream that never ends passes if its beginning matches."""

    def sin(connection: Connection) -> None:
        connection.request()
        connection.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nready\r\n")
        connection.wait()

    assert ask(HttpProbe(url(serve(sin)), body="ready"), SHORT).ok


def test_without_a_pattern_the_body_is_not_waited_for(serve: Serve, ask: Ask) -> None:
    """The right status is enough: a body that never ends costs nothing."""

    def sin(connection: Connection) -> None:
        connection.request()
        connection.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.flood(b"1000\r\n" + b"x" * 4096 + b"\r\n")

    assert ask(HttpProbe(url(serve(sin))), 600.0).ok


def test_informational_answers_are_skipped(serve: Serve, ask: Ask) -> None:
    """Early hints come before the answer."""
    assert ask(HttpProbe(url(serve(answering("HTTP/1.1 103 Early Hints\n\nHTTP/1.1 200 OK\nContent-Length: 0"))))).ok


def test_head_has_no_body(serve: Serve, ask: Ask) -> None:
    """A Content-Length that answers HEAD announces nothing."""
    assert ask(HttpProbe(url(serve(answering("HTTP/1.1 200 OK\nContent-Length: 100"))), method="HEAD")).ok


def test_a_catastrophic_body_pattern_is_stopped(serve: Serve, ask: Ask) -> None:
    """A pattern that would run for years is a failing result that names it."""
    server = serve(answering("HTTP/1.1 200 OK\nContent-Length: 41", b"a" * 40 + b"!"))
    result = ask(HttpProbe(url(server), body="(a+)+$"))
    assert not result.ok
    assert "backtracks" in result.detail


def test_nobody_listening_is_said(free_port: int, ask: Ask) -> None:
    """The address is in the detail."""
    assert ask(HttpProbe(f"http://127.0.0.1:{free_port}/")).detail == f"connection refused on 127.0.0.1:{free_port}"
    assert ask(HttpProbe(f"http://localhost:{free_port}/")).detail == f"connection refused on localhost:{free_port}"


def close_at_once(connection: Connection) -> None:
    connection.request()


def hang_after_accept(connection: Connection) -> None:
    connection.wait()


def hang_in_head(connection: Connection) -> None:
    connection.say(b"HTTP/1.1 200 OK\r\nServer: slo")
    connection.wait()


def drip_head(connection: Connection) -> None:
    connection.drip(b"HTTP/1.1 200 OK\r\n" + b"X-Drip: y\r\n" * 1000)


def speak_ssh(connection: Connection) -> None:
    connection.say(b"SSH-2.0-OpenSSH_9.6\r\n")
    connection.wait()


def close_politely(connection: Connection) -> None:
    connection.sock.recv(4096)


def reset_now(connection: Connection) -> None:
    connection.sock.recv(1)
    connection.reset()


def speak_tls(connection: Connection) -> None:
    connection.say(b"\x15\x03\x01\x00\x02\x02\x16")


def reset_at_once(connection: Connection) -> None:
    connection.request()
    connection.reset()


def close_in_head(connection: Connection) -> None:
    connection.request()
    connection.say(b"HTTP/1.1 200")


def huge_header(connection: Connection) -> None:
    connection.request()
    connection.say(b"HTTP/1.1 200 OK\r\nX-Huge: ")
    connection.flood(b"x" * 4096)


def endless_headers(connection: Connection) -> None:
    connection.request()
    connection.say(b"HTTP/1.1 200 OK\r\n")
    connection.flood(b"X-More: yes\r\n" * 100)


def endless_hints(connection: Connection) -> None:
    connection.request()
    connection.flood(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)


def bad_status_line(connection: Connection) -> None:
    connection.request()
    connection.say(b"HTTP/1.1 two hundred\r\n\r\n")
    connection.wait()


@pytest.mark.parametrize(
    ("sin", "said"),
    [
        (close_at_once, "the connection was closed without an answer (connected, 0 bytes)"),
        (hang_after_accept, "no answer within 500 ms (connected, 0 bytes)"),
        (hang_in_head, "no complete answer within 500 ms (connected, 28 bytes: HTTP/1.1 200 OK Server: slo)"),
        (drip_head, "no complete answer within 500 ms (connected, "),
        (speak_ssh, "the answer is not HTTP: SSH-2.0-OpenSSH_9.6"),
        (speak_tls, "the answer is not HTTP but TLS: use https://"),
        (reset_at_once, "the connection was reset (connected, 0 bytes)"),
        (close_in_head, "the connection was closed without a complete answer (connected, 12 bytes: HTTP/1.1 200)"),
        (huge_header, "the headers are longer than 64 KiB"),
        (endless_headers, "the headers are longer than 64 KiB"),
        (endless_hints, "the headers are longer than 64 KiB"),
        (bad_status_line, "the answer is not valid HTTP"),
    ],
)
def test_a_sin_is_named(serve: Serve, ask: Ask, sin: object, said: str) -> None:
    """Whatever a server does, the probe fails within its timeout with a sentence that says what it met."""
    result = ask(HttpProbe(url(serve(sin))), SHORT if "within" in said else 20.0)
    assert not result.ok
    assert result.detail.startswith(said)


def test_a_server_that_does_not_accept_is_said(ask: Ask) -> None:
    """With a full backlog the connection itself hangs, and the timeout holds all the same."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        where = listener.getsockname()
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(where)
        result = ask(HttpProbe(f"http://127.0.0.1:{where[1]}/"), SHORT)
        for filler in fillers:
            filler.close()
    assert not result.ok
    assert f"127.0.0.1:{where[1]}" in result.detail or "no answer" in result.detail


def test_a_self_signed_certificate_for_another_host_passes(serve: Serve, ask: Ask) -> None:
    """Development certificates are not verified."""
    server = serve(OK, tls=True)
    assert ask(HttpProbe(f"https://127.0.0.1:{server.port}/", body="ok")).ok
    assert ask(HttpProbe(f"https://localhost:{server.port}/", body="ok")).ok


def test_a_large_body_over_tls_is_read_to_its_bound(serve: Serve, ask: Ask) -> None:
    """Records that are decrypted already are not waited for."""
    server = serve(answering("HTTP/1.1 200 OK\nContent-Length: 60005", b"x" * 60_000 + b"ready"), tls=True)
    assert ask(HttpProbe(f"https://127.0.0.1:{server.port}/", body="ready$")).ok


@pytest.mark.parametrize(
    ("sin", "said"),
    [
        (close_politely, "TLS handshake failed: the connection was closed"),
        (reset_now, "the connection was reset in the TLS handshake (connected, 0 bytes)"),
        (speak_ssh, "TLS handshake failed: "),
        (hang_after_accept, "no TLS handshake within 500 ms (connected, 0 bytes)"),
    ],
)
def test_bad_tls_is_named(serve: Serve, ask: Ask, sin: object, said: str) -> None:
    """https to a port that speaks something else, or nothing."""

    result = ask(HttpProbe(f"https://127.0.0.1:{serve(sin).port}/"), SHORT if "within" in said else 20.0)
    assert not result.ok
    assert result.detail.startswith(said)


def test_plain_http_under_https_is_recognised(serve: Serve, ask: Ask) -> None:
    """The commonest mistake gets its hint."""

    def sin(connection: Connection) -> None:
        connection.sock.recv(4096)
        connection.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.wait()

    assert "does the port speak plain http?" in ask(HttpProbe(f"https://127.0.0.1:{serve(sin).port}/")).detail


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_localhost_is_found_on_ipv6_alone(serve: Serve, ask: Ask) -> None:
    """Node listens on ::1 for localhost."""
    server = serve(OK, host="::1")
    assert ask(HttpProbe(url(server, "localhost"))).ok
    assert ask(HttpProbe(url(server, "[::1]"))).ok


def test_localhost_is_found_on_ipv4_alone(serve: Serve, ask: Ask) -> None:
    """Python listens on 127.0.0.1 for localhost."""
    assert ask(HttpProbe(url(serve(OK), "localhost"))).ok


def test_a_name_is_looked_up_without_blocking_the_loop(monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    """While a resolver hangs, the loop runs, the probe ends in time, and the next ones do not pile up threads."""
    answer = threading.Event()
    lookups: list[str] = []
    real = address._resolve

    def resolve(host: str, port: int, flags: int) -> list[address.SocketAddress]:
        if host != "slow.test":
            return real(host, port, flags)
        if flags:
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        lookups.append(host)
        answer.wait(30)
        return real("127.0.0.1", port, 0)

    monkeypatch.setattr(address, "_resolve", resolve)

    async def run() -> None:
        checker = HttpChecker(HttpProbe(url(serve(OK), "slow.test")))
        for _ in range(3):
            result = await checker.check(0.05)
            assert result.detail.startswith("no connection to slow.test:")
        assert len(lookups) == 1
        answer.set()
        assert (await checker.check(10)).ok
        await checker.settle()

    asyncio.run(run())


def test_the_server_may_finish_its_answer(monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    """A server that writes its body late is not cut off by a probe that has seen enough."""
    monkeypatch.setattr(exchange, "SETTLE_TIME", 30.0)  # the test is about the order, not about the bound
    finished = threading.Event()

    def sin(connection: Connection) -> None:
        connection.request()
        connection.say(b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n")
        connection.say(b"x" * 400_000)
        finished.set()

    async def run() -> None:
        checker = HttpChecker(HttpProbe(url(serve(sin))))
        assert (await checker.check(10)).ok
        await checker.settle()

    asyncio.run(run())
    assert finished.wait(10)
