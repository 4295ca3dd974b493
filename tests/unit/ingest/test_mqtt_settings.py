from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.settings import explain
from ingest.settings import Settings


def problems(**given: Any) -> list[str]:  # noqa: ANN401 - any setting
    with pytest.raises(ValidationError) as raised:
        Settings.model_validate(given)
    return explain(Settings, raised.value)


def test_certificates_without_tls_are_refused_so_that_nothing_goes_in_clear_by_mistake(tmp_path: Path) -> None:
    authority = tmp_path / "authority.pem"
    authority.touch()
    [line] = problems(mqtt_tls_ca=authority)
    assert line.startswith("INGEST_MQTT_TLS_CA is ")
    assert "INGEST_MQTT_TLS=true" in line


def test_a_certificate_needs_its_key_and_both_have_to_be_there(tmp_path: Path) -> None:
    certificate = tmp_path / "client.pem"
    certificate.touch()
    [line] = problems(mqtt_tls=True, mqtt_tls_cert=certificate)
    assert "INGEST_MQTT_TLS_CERT and INGEST_MQTT_TLS_KEY go together" in line
    [line] = problems(mqtt_tls=True, mqtt_tls_ca=tmp_path / "none.pem")
    assert line.startswith("INGEST_MQTT_TLS_CA is ")


@pytest.mark.parametrize("given", [{"shared_group": "a/b"}, {"shared_group": "+"}, {"mqtt_status_topic": "a/#"}])
def test_names_that_mqtt_does_not_allow_are_refused(given: dict[str, str]) -> None:
    assert len(problems(**given)) == 1
