"""The ways in which an answer fails to arrive. Each ends one request, and only that."""

import asyncio
import socket
import struct
from typing import Final

from aiohttp import web

from app.brokers.sim.faults import Switch

HUGE_BYTES: Final = 16 * 1024 * 1024
# SO_LINGER on, zero seconds: the close becomes a reset.
LINGER: Final = struct.pack("ii", 1, 0)
DRIP_PAUSE_S: Final = 0.1


def hang_up(request: web.Request, *, reset: bool = False) -> web.Response:
    """End the connection without an answer. The response returned goes nowhere."""
    transport = request.transport
    if transport is not None:
        if reset:
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        transport.abort()
    return web.Response()


def unjudged(request: web.Request, name: str, switch: Switch) -> web.Response | None:
    """Return the answer of a fault that comes before judgement; None: wait, then hang up."""
    match name:
        case "close_before_read":
            return hang_up(request)
        case "http_429":
            headers = {"Retry-After": f"{switch.d:g}"}
            return refusal(429, "rate-limit", headers)
        case "http_503":
            return refusal(503, "unavailable")
        case "unauthorized":
            return refusal(401, "unauthorized")
        case _:
            return None


def refusal(
    status: int, code: str, headers: dict[str, str] | None = None, detail: str = ""
) -> web.Response:
    """Return an error answer for a whole request."""
    return web.json_response({"code": code, "detail": detail}, status=status, headers=headers)


def answer(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


async def judged(
    request: web.Request, body: bytes, name: str, switch: Switch
) -> web.StreamResponse:
    """Answer a judged request in the way that this fault has it."""
    match name:
        case "accept_then_500":
            return refusal(500, "internal")
        case "garbage":
            return answer(b"\x00\xff{ no json" + body[:10])
        case "huge_reply":
            return answer(body + b" " * (HUGE_BYTES - len(body)))
        case "slow_drip":
            return await _drip(request, body, max(1, int(switch.bytes_per_s * DRIP_PAUSE_S)))
        case "half_reply":
            await _drip_part(request, body, body[: len(body) // 2])
            return hang_up(request, reset=True)
        case "disconnect_mid_batch":
            return hang_up(request, reset=True)
        case "accept_drop_reply" | "late_accept":
            return hang_up(request)
        case _:
            return answer(body)


async def _drip_part(request: web.Request, body: bytes, part: bytes) -> web.StreamResponse:
    reply = web.StreamResponse(headers={"Content-Type": "application/json"})
    reply.content_length = len(body)
    await reply.prepare(request)
    await reply.write(part)
    return reply


async def _drip(request: web.Request, body: bytes, step: int) -> web.StreamResponse:
    reply = await _drip_part(request, body, body[:step])
    for start in range(step, len(body), step):
        await asyncio.sleep(DRIP_PAUSE_S)
        try:
            await reply.write(body[start : start + step])
        except ConnectionError:  # whom we bored has gone, as he may
            break
    return reply
