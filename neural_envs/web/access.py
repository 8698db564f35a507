"""Who may ask: the names that the server goes by, the pages that may use it, and its token.

A page of another site can reach this server under a name of its own (DNS rebinding), so a request
must ask for a known name. Where there is none, on all addresses without `--names`, it must carry a
token instead, which a foreign page cannot know.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.responses import Response

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ALL_ADDRESSES = ("0.0.0.0", "::", "")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; frame-ancestors "
    "'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Access(NamedTuple):
    """What a request must have: a known host name (None: any), and the token ("": none)."""

    names: frozenset[str] | None
    token: str = ""

    @property
    def cookie(self) -> str:
        """The name of the cookie that holds the token."""
        return f"neural_envs_{hashlib.sha256(self.token.encode()).hexdigest()[:8]}"


def access_for(host: str, names: Sequence[str] = ()) -> Access:
    """What requests to a server that listens on `host` must have, if it goes by `names` too."""
    host = bare_host(host)
    if host in ALL_ADDRESSES and not names:
        return Access(None, secrets.token_urlsafe(24))
    own = () if host in ALL_ADDRESSES else (host,)
    return Access(frozenset(bare_host(name) for name in (*LOOPBACK, *own, *names)))


def bare_host(host: str) -> str:
    """A host as it is compared: lower case, an IPv6 address without brackets and in short."""
    host = host.strip().lower().removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host


def host_name(header: str) -> str:
    """The name in a Host header "name:port", as `bare_host` has it; "" for a malformed one."""
    try:
        parts = urlsplit(f"//{header}")
        _ = parts.port  # ValueError where it is no number
    except ValueError:
        return ""
    return bare_host(parts.hostname or "") if parts.netloc == header and "@" not in header else ""


def same_origin(headers: Any) -> bool:
    """Whether a browser sent this from a page of this server, or something that is no browser
    did.
    """
    origin = headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc == headers.get("host")
    except ValueError:  # as for "http://["
        return False


class AccessMiddleware:
    """Refuses requests without what `access` asks for, and gives every answer `HEADERS`."""

    def __init__(self, app: Any, access: Access):
        self.app, self.access = app, access

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request, by the ASGI protocol."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)

        async def with_headers(message: Any) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                own = {name.lower() for name, _ in message.get("headers", [])}
                more = ((k.lower().encode(), v.encode()) for k, v in HEADERS.items())
                missing = [(k, v) for k, v in more if k not in own]
                message = {**message, "headers": [*message.get("headers", []), *missing]}
            await send(message)

        answer = self._answer(scope)
        await (self.app if answer is None else answer)(scope, receive, with_headers)

    def _answer(self, scope: Any) -> Response | None:
        """The answer to a request that goes no further; None for one that does."""
        from starlette.requests import HTTPConnection
        from starlette.responses import JSONResponse, RedirectResponse

        request, access = HTTPConnection(scope), self.access
        name = host_name(request.headers.get("host", ""))
        if not name or (access.names is not None and name not in access.names):
            text = "this server does not go by that name; --names lets it, where it should"
            return JSONResponse({"error": text}, 400)
        if not access.token:
            return None
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._is_token(request.cookies.get(access.cookie, "")) or self._is_token(bearer):
            return None
        if not self._is_token(request.query_params.get("token", "")):
            text = "open the address with the token that the server printed when it started"
            return JSONResponse({"error": text}, 401)
        if scope["type"] != "http" or scope["path"] != "/":
            return None
        answer = RedirectResponse("/", 303)  # the token leaves the address
        secure = request.url.scheme == "https"
        answer.set_cookie(access.cookie, access.token, httponly=True, samesite="lax", secure=secure)
        return answer

    def _is_token(self, text: str) -> bool:
        return secrets.compare_digest(text.encode(), self.access.token.encode())
