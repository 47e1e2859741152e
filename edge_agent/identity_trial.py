"""Tries a certificate at the broker's door, in a connection of its own, before anything depends on it."""

import socket
import ssl
from pathlib import Path

from edge_agent.errors import BrokerUnavailable, CertificateRefused

_CONNECT_S = 4.0
_LISTEN_S = 2.0  # with TLS 1.3 a server says only after the handshake that it doesn't take the certificate


def try_identity(host: str, port: int, directory: Path) -> None:
    """Return if the broker takes the certificate in this directory, and shows one that its authority signed.

    CertificateRefused: it doesn't. BrokerUnavailable: nobody can tell now.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(directory / "ca.crt")
        context.load_cert_chain(directory / "gateway.crt", directory / "gateway.key")
    except (OSError, ValueError) as error:
        raise CertificateRefused(f"the new certificate can't be used: {error}") from error
    try:
        plain = socket.create_connection((host, port), _CONNECT_S)
    except OSError as error:
        raise BrokerUnavailable(f"no connection to {host}:{port}: {error}") from error
    with plain:
        try:
            with context.wrap_socket(plain, server_hostname=host) as secured:
                secured.settimeout(_LISTEN_S)
                if secured.recv(1) == b"":
                    raise CertificateRefused(
                        "the broker closes the connection that the new certificate opened"
                    )
        except TimeoutError:
            return  # it waits for our first packet: we are let in
        except ssl.SSLError as error:
            raise CertificateRefused(f"the broker doesn't take the new certificate: {error}") from error
        except OSError as error:
            raise BrokerUnavailable(f"the connection to {host}:{port} broke: {error}") from error
