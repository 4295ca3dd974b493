"""Settings of the MQTT broker, for the services that connect to one."""

import ssl

from pydantic import Field, FilePath, SecretStr, ValidationInfo, field_validator

from contracts.settings import StreamSettings


class BrokerSettings(StreamSettings):
    """Adds the broker."""

    mqtt_host: str = Field(default="127.0.0.1", min_length=1, description="MQTT broker")
    mqtt_port: int = Field(default=1883, ge=1, le=65535, description="Port of the MQTT broker")
    mqtt_username: str = Field(default="", description="User name at the broker, where it wants one")
    mqtt_password: SecretStr = Field(default=SecretStr(""), description="Password at the broker, where it wants one")
    mqtt_tls: bool = Field(
        default=False, description="Speak TLS, and accept only a broker whose certificate is good and has its name"
    )
    mqtt_tls_ca: FilePath | None = Field(
        default=None, description="Certificates of the authorities to trust (PEM); without it, the system's"
    )
    mqtt_tls_cert: FilePath | None = Field(default=None, description="Our own certificate (PEM), where it is wanted")
    mqtt_tls_key: FilePath | None = Field(
        default=None, validate_default=True, description="Key of our own certificate (PEM)"
    )
    mqtt_tls_key_password: SecretStr = Field(default=SecretStr(""), description="Password of that key, if it has one")

    @field_validator("mqtt_tls_ca", "mqtt_tls_cert")
    @classmethod
    def _not_in_clear(cls, value: FilePath | None, info: ValidationInfo) -> FilePath | None:
        if value is not None and not info.data.get("mqtt_tls"):
            prefix = cls.model_config.get("env_prefix", "")
            raise ValueError(f"only with {prefix}MQTT_TLS=true; without it nothing is encrypted or checked")
        return value

    @field_validator("mqtt_tls_key")
    @classmethod
    def _key_with_certificate(cls, value: FilePath | None, info: ValidationInfo) -> FilePath | None:
        if (value is None) != (info.data.get("mqtt_tls_cert") is None):
            prefix = cls.model_config.get("env_prefix", "")
            raise ValueError(f"{prefix}MQTT_TLS_CERT and {prefix}MQTT_TLS_KEY go together")
        return value


def tls_of(settings: BrokerSettings) -> ssl.SSLContext | None:
    """Read the certificates, anew for each connection: they may have been renewed. Raises OSError, which names them."""
    if not settings.mqtt_tls:
        return None
    reading = f"{settings.mqtt_tls_ca}"
    try:
        context = ssl.create_default_context(cafile=settings.mqtt_tls_ca)
        if settings.mqtt_tls_cert is not None:
            reading = f"{settings.mqtt_tls_cert} and {settings.mqtt_tls_key}"
            password = settings.mqtt_tls_key_password.get_secret_value()
            context.load_cert_chain(settings.mqtt_tls_cert, settings.mqtt_tls_key, password)
    except OSError as error:
        raise OSError(f"{reading}: {error}") from error
    return context
