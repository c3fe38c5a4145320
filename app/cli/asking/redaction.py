"""Takes out of a text whatever opens something, before it leaves the house in a ticket.

Three nets, because each has holes: the secrets that this machine knows, wherever they stand; the
shapes that secrets have; and fields whose name says that they hold one. The trap is to redact what
we write and not what others wrote: a token that somebody pasted as a reason stands in the audit
log for ever.
"""

import hmac
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

SECRET: Final = "(secret)"  # noqa: S105 - what stands in the place of one
# Whatever is shorter stands in every other word as well; its field or its address hides it.
KNOWN_MIN: Final = 6
# Of a broker: an adapter alone knows which of them are secret.
OPTIONS: Final = "options"
# No pattern here may look far ahead from each letter: a log has lines of a megabyte.
_NAME: Final = (
    r"pass(?:word|wd|phrase)?|secret|token|ticket|credentials?|authorization|cookie|signature"
    r"|pepper|digest|api[_-]?key|access[_-]?key|private[_-]?key|session[_-]?key|webhook[_-]?url"
    r"|bot[_-]?token|approver[_-]?key|openbell[_-]key|x-[a-z-]{0,32}key"
)
# Whatever stands before such a word: `sslpassword` is one as well.
_ANYWHERE: Final = r"(?=pass(?:word|wd|phrase))"
_FIELD: Final = re.compile(rf"(?:^|[_\W]|{_ANYWHERE})(?:{_NAME})s?(?:$|[_\W])", re.IGNORECASE)
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# What follows a name and its `=` or `:`, also inside of JSON that is a text of JSON.
_SAID: Final = re.compile(
    rf"""((?:(?<![a-z])|{_ANYWHERE}|(?-i:(?<=[a-z])(?=[A-Z])))(?:{_NAME})s?\\{{0,8}}["']?\s{{0,8}}[:=]\s{{0,8}})
    (\\{{0,8}}["'](?:[^"'\\]|\\.)*\\{{0,8}}["']|(?:bearer|basic|digest|hmac)\s+\S+|[^\s,;&"'}}\])]+)""",
    re.IGNORECASE | re.VERBOSE,
)
_SHAPES: Final = tuple(
    (re.compile(shape, re.IGNORECASE | re.DOTALL), put)
    for shape, put in (
        # Who it was stays: the id of a key is in every audit row.
        (r"(ob_(?:live|test)_[0-9a-f]{20})_[0-9a-f]{16,64}", rf"\1_{SECRET}"),
        (
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
            SECRET,
        ),
        (r"whsec_[A-Za-z0-9+/=_-]{8,}", SECRET),
        (r"\bxox[a-z]-[A-Za-z0-9-]{6,}", SECRET),
        (r"https?://hooks\.slack\.com/\S*?(?=[\s\"'\\<>]|$)", SECRET),
        # A token by how its header begins, be it cut short; and by its form, whatever it begins
        # with: an issuer may write a blank first. Each run of such letters is begun at once.
        (
            r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{5,4096}+\.[A-Za-z0-9_-]{5,}+\.[A-Za-z0-9_-]*",
            SECRET,
        ),
        (r"(?<![A-Za-z0-9_-])(?:[A-Za-z0-9_-]{16,6144}+\.){2}[A-Za-z0-9_-]{40,}+", SECRET),
        (r"\bAKIA[0-9A-Z]{16}\b", SECRET),
        (r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", rf"\1 {SECRET}"),
        # Up to the last @ before the path: a password may have one itself.
        (r"(://)[^\s/\"'<>]{0,2048}@", rf"\1{SECRET}@"),
        # The seal of the console's cookie.
        (r"\b([0-9a-f]{20}\.[0-9]{10,18})\.[0-9a-f]{64}\b", rf"\1.{SECRET}"),
    )
)
# The rest of a private key whose beginning was cut off.
_KEY_ENDS: Final = re.compile(r"-----END [A-Z ]{0,40}PRIVATE KEY-----")
_KEY_REST: Final = re.compile(
    r"(?<![A-Za-z0-9+/=])(?:[A-Za-z0-9+/=]{4,}+\s++){1,200}+-----END [A-Z ]{0,40}PRIVATE KEY-----"
)


class Redaction:
    """What is known to be secret on this machine; the shapes are known to all."""

    def __init__(self, known: Iterable[str], account_key: bytes) -> None:
        """Take the secrets themselves, and what accounts are named anew by."""
        spelled = {way for secret in known for way in _spellings(secret)}
        # The longest first: one may be the beginning of another.
        ordered = sorted((s for s in spelled if len(s) >= KNOWN_MIN), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, ordered))) if ordered else None
        self._account_key = account_key

    def text(self, text: str) -> str:
        """Return the text without what is secret in it."""
        if self._known is not None:
            text = self._known.sub(SECRET, text)
        for shape, put in _SHAPES:
            text = shape.sub(put, text)
        if _KEY_ENDS.search(text):
            text = _KEY_REST.sub(SECRET, text)
        return _SAID.sub(rf"\1{SECRET}", text)

    def document(self, document: Any) -> Any:
        """Return a JSON document without secrets; an account is another name, always the same."""
        match document:
            case Mapping():
                return {self.text(name): self._field(name, one) for name, one in document.items()}
            case list() | tuple():
                return [self.document(one) for one in document]
            case str():
                return self._nested(document)
            case _:
                return document

    def _field(self, name: str, value: Any) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if name == "account_id" and isinstance(value, str):
            return self.account(value)
        if name == "accounts" and isinstance(value, list):
            return [one if one == "*" else self.account(str(one)) for one in value]
        if name == OPTIONS and isinstance(value, Mapping):
            return dict.fromkeys(value, SECRET)
        if is_secret_name(name):
            return SECRET
        return self.document(value)

    def _nested(self, text: str) -> str:
        """Return a text that may be JSON itself, as the audit log keeps what stood before."""
        if text[:1] in ("{", "["):
            try:
                return json.dumps(self.document(json.loads(text)))
            except ValueError:
                pass
        return self.text(text)

    def account(self, account_id: str) -> str:
        """Return what stands for a customer in this bundle, and in no other."""
        named = hmac.digest(self._account_key, account_id.encode(), "sha256").hex()
        return f"account-{named[:12]}"


def _spellings(secret: str) -> Iterator[str]:
    """Yield the ways in which one secret is written: as it is, in JSON, in an address."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield quote(secret, safe="")
    yield unquote(secret)


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds what opens something."""
    return _FIELD.search(_HUMP.sub("_", name)) is not None
