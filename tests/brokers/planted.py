"""Adapters that each break one law, and the number of the case that must name it.

Each is the example adapter with one mistake that somebody has made before (order-model 11). The
trap is a mistake that breaks two laws: then nobody sees whether each case can fail.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from app.domain import messages as m
from app.ports.brokers import BadCallback
from tests.brokers.example_package.acme_openbell import AcmeBroker, report_of


class Sound(AcmeBroker):
    """No mistake: what the others are measured against."""


class RaisesOnTimeOut(AcmeBroker):
    async def submit(self, batch: Sequence[m.Submission]) -> list[m.Answer]:
        answers = await super().submit(batch)
        if any(isinstance(a, m.Unknown) and "TimeoutError" in a.cause for a in answers):
            raise TimeoutError
        return answers


class Retries(AcmeBroker):
    async def submit(self, batch: Sequence[m.Submission]) -> list[m.Answer]:
        answers = await super().submit(batch)
        if any(isinstance(a, m.Unknown) and "disconnected" in a.cause for a in answers):
            return await super().submit(batch)
        return answers


class RejectsDuplicates(AcmeBroker):
    async def submit(self, batch: Sequence[m.Submission]) -> list[m.Answer]:
        answers = await super().submit(batch)
        return [
            m.Rejected("duplicate") if isinstance(a, m.Unknown) and "duplicate" in a.cause else a
            for a in answers
        ]


class AnswersBackwards(AcmeBroker):
    async def submit(self, batch: Sequence[m.Submission]) -> list[m.Answer]:
        return (await super().submit(batch))[::-1]


class TakesACutForNotSent(AcmeBroker):
    async def submit(self, batch: Sequence[m.Submission]) -> list[m.Answer]:
        answers = await super().submit(batch)
        return [
            m.NotSent(a.cause)
            if isinstance(a, m.Unknown) and a.cause.endswith("Server disconnected")
            else a
            for a in answers
        ]


class BelievesTheUnsigned(AcmeBroker):
    def read_callback(self, headers: Mapping[str, str], body: bytes) -> list[m.ExecutionReport]:
        if "x-signature" in headers:
            return super().read_callback(headers, body)
        try:
            return [report_of(self.name, event) for event in json.loads(body)]
        except (ValueError, TypeError, LookupError, RecursionError) as e:
            raise BadCallback(str(e)) from e


class BelievesTheOld(AcmeBroker):
    def read_callback(self, headers: Mapping[str, str], body: bytes) -> list[m.ExecutionReport]:
        self._key = self._key._replace(tolerance_s=1e9)
        return super().read_callback(headers, body)


class CountsInFloats(AcmeBroker):
    async def submit(self, batch: Sequence[m.Submission]) -> list[m.Answer]:
        return await super().submit(
            [
                o._replace(
                    quantity=Decimal(float(o.quantity)),
                    limit_price=o.limit_price and Decimal(str(float(o.limit_price))),
                )
                for o in batch
            ]
        )


class DropsTheRefused(AcmeBroker):
    async def submit(self, batch: Sequence[m.Submission]) -> list[m.Answer]:
        answers = await super().submit(batch)
        if len(batch) == 1:
            return answers
        return [answer for answer in answers if not isinstance(answer, m.Rejected)]


class TakesAnErrorPageForAbsence(AcmeBroker):
    async def find(self, keys: Sequence[str]) -> list[m.Lookup]:
        found = await super().find(keys)
        return [
            m.Absent() if isinstance(f, m.Unknown) and "HTTP 404" in f.cause else f for f in found
        ]


class RejectsWhatWasTooFast(AcmeBroker):
    async def submit(self, batch: Sequence[m.Submission]) -> list[m.Answer]:
        answers = await super().submit(batch)
        return [m.Rejected("429") if isinstance(a, m.Throttled) else a for a in answers]


class LosesUnknownCancels(AcmeBroker):
    async def cancel(self, batch: Sequence[m.Cancellation]) -> list[m.Answer]:
        answers = await super().cancel(batch)
        return [m.Unknown("?") if a == m.Rejected("unknown-order") else a for a in answers]


PLANTED: Final[Mapping[type[AcmeBroker], set[str]]] = {
    Sound: set(),
    RaisesOnTimeOut: {"B-201"},
    TakesACutForNotSent: {"B-206"},
    Retries: {"B-209"},
    RejectsWhatWasTooFast: {"B-221"},
    AnswersBackwards: {"B-301"},
    DropsTheRefused: {"B-302"},
    TakesAnErrorPageForAbsence: {"B-405"},
    RejectsDuplicates: {"B-501"},
    CountsInFloats: {"B-105"},
    BelievesTheUnsigned: {"B-602"},
    BelievesTheOld: {"B-605"},
    LosesUnknownCancels: {"B-703"},
}
