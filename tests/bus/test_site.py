"""How a client reaches the cluster: in the open on loopback, encrypted and by name elsewhere."""

import ssl
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from app.bus.site import Site
from app.settings import KafkaSettings


def address(**settings: Any) -> dict[str, Any]:
    return Site(KafkaSettings(bootstrap="one:9092, two:9092", **settings)).address()


def test_without_more_it_is_plain_and_nobody_logs_on() -> None:
    found = address()

    assert found["bootstrap_servers"] == ["one:9092", "two:9092"]
    assert found["security_protocol"] == "PLAINTEXT"
    assert "ssl_context" not in found


def test_encrypted_verifies_the_certificate_and_the_name() -> None:
    found = address(tls=True)

    assert found["security_protocol"] == "SSL"
    assert found["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert found["ssl_context"].check_hostname


@pytest.mark.parametrize(("tls", "protocol"), [(True, "SASL_SSL"), (False, "SASL_PLAINTEXT")])
def test_a_log_on_names_its_mechanism(tls: bool, protocol: str) -> None:  # noqa: FBT001
    found = address(tls=tls, sasl_username="openbell", sasl_password="hush")

    assert found["security_protocol"] == protocol
    assert found["sasl_mechanism"] == "SCRAM-SHA-512"
    assert found["sasl_plain_password"] == "hush"


def test_a_password_is_not_told_by_the_settings() -> None:
    settings = KafkaSettings(
        bootstrap="one", sasl_username="openbell", sasl_password=SecretStr("hush")
    )

    assert "hush" not in repr(settings)


def test_half_a_log_on_is_refused() -> None:
    with pytest.raises(ValidationError, match="go together"):
        KafkaSettings(bootstrap="one", sasl_username="openbell")


def test_more_copies_that_acknowledge_than_copies_are_refused() -> None:
    with pytest.raises(ValidationError, match="needs more copies"):
        KafkaSettings(bootstrap="one", replication=1, min_insync=2)
