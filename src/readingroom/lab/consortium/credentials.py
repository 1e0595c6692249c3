"""Keys and certificates of the lab's consortium: the same in every lab, so that a policy file can name them.

They are made from words that stand below, so everybody knows them and nothing that matters may trust them. Must not know
what they are used for.

    python -m readingroom.lab.consortium.credentials      prints what a policy names
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.x509.oid import NameOID

AUTHORITY = "Lab Consortium"
RESOLVER, LIBRARY_SYSTEM = "resolver.consortium.example", "sip.consortium.example"
# Holds a certificate that the same authority signed, for another name.
STRANGER = "stranger.consortium.example"
_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
    key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
)  # fmt: skip
_FROM, _UNTIL = dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2056, 1, 1, tzinfo=dt.UTC)


def _secret(name: str) -> bytes:
    return hashlib.sha256(f"Reading Room's lab; everybody knows this: {name}".encode()).digest()


def private_key(name: str) -> Ed25519PrivateKey:
    """The key that goes with the certificate of `name`."""
    return Ed25519PrivateKey.from_private_bytes(_secret(f"certificate of {name}"))


def authority(name: str = AUTHORITY) -> x509.Certificate:
    """The certificate of the authority of this name, signed by itself."""
    return (
        _builder(name, name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_SIGNS_CERTIFICATES, critical=True)
        .sign(private_key(name), None)
    )


def certificate(name: str, addresses: Sequence[str] = (), issuer: str = AUTHORITY) -> x509.Certificate:
    """A certificate for a host of this name, and for these addresses, signed by `issuer`."""
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    names += [x509.IPAddress(ipaddress.ip_address(one)) for one in addresses]
    return (
        _builder(name, issuer)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(private_key(issuer), None)
    )


def _builder(subject: str, issuer: str) -> x509.CertificateBuilder:
    key = private_key(subject).public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(int.from_bytes(_secret(f"serial of {subject} by {issuer}")[:16], "big") >> 1)
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(private_key(issuer).public_key()), critical=False
        )
    )


def pem(certificate: x509.Certificate) -> str:
    """The certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def write(folder: Path, name: str, found: x509.Certificate) -> tuple[Path, Path]:
    """Write certificate and key of `name` into `folder`; where they lie."""
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_text(pem(found))
    key.write_bytes(
        private_key(name).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    key.chmod(0o600)
    return chain, key


def wireguard(name: str) -> tuple[str, str]:
    """The private and the public key of a tunnel's end, as `wg` writes them."""
    key = X25519PrivateKey.from_private_bytes(_secret(f"tunnel of {name}"))
    raw = (serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(key.private_bytes(*raw)).decode(), base64.b64encode(public).decode()


if __name__ == "__main__":
    print("The gateway's public key for WireGuard:", wireguard("gateway")[1])
    print("The consortium's authority:", pem(authority()), sep="\n", end="")
    print("The library system:", pem(certificate(LIBRARY_SYSTEM)), sep="\n", end="")
