"""Who a connection to the broker says that it is: user name and password, certificate, and whom it trusts."""

import ssl

import paho.mqtt.client as paho

from cloud_sink.config import MqttSection
from cloud_sink.errors import ConfigError


def identify(client: paho.Client, settings: MqttSection) -> None:
    """Set what the configuration says on a client that isn't connected yet; ConfigError if a file can't be used."""
    if settings.username is not None:
        client.username_pw_set(settings.username, _read_password(settings))
    if settings.ca_file is not None:
        _use_tls(client, settings)


def _read_password(settings: MqttSection) -> str | None:
    if settings.password_file is None:
        return None
    try:
        return settings.password_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"mqtt.password_file: {settings.password_file} can't be read: {error}"]) from error


def _use_tls(client: paho.Client, settings: MqttSection) -> None:
    files = (settings.ca_file, settings.cert_file, settings.key_file)
    ca, cert, key = (str(file) if file else None for file in files)
    try:
        client.tls_set(ca, cert, key)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise ConfigError([f"mqtt: ca_file, cert_file or key_file can't be used: {error}"]) from error
