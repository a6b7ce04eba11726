"""A test authority for fleets: makes a certificate and a signing key for each member.

For a fleet that matters, let your own infrastructure issue certificates whose common name is the platform's.
"""

import datetime
import ipaddress
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import FleetError
from skyweave.fleet.link.credentials import (
    PLATFORM,
    RELAY,
    SIGNATURE_HASH,
    VIEWER,
    load_certificate,
    load_private_key,
    read_members,
)
from skyweave.fleet.link.topics import validate_name

VALIDITY_DAYS = 365
MAX_DAYS = 36_500


def create_keys(
    folder: str | Path,
    platforms: Sequence[str],
    hosts: Sequence[str] = (),
    days: int = VALIDITY_DAYS,
    viewers: Sequence[str] = (),
    relays: Sequence[str] = (),
) -> list[str]:
    """Make an authority (unless there is one) and keys for those names that have none.

    Args:
        folder: where; made private.
        platforms: names of platforms.
        hosts: addresses and host names to put into the certificates besides ``localhost``.
        days: for which certificates are valid.
        viewers: names of those who only listen.
        relays: names of routers, which pass on what platforms say.

    Returns:
        The names for which keys were made.

    Raises:
        FleetError: a name or a number of days that cannot be one, a name of two roles, or an authority that another
            program made.
    """
    roles = _roles_by_name({PLATFORM: platforms, VIEWER: viewers, RELAY: relays})
    _check_names_and_days(list(roles), days)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    authority = _load_or_create_authority(folder, days)
    file = folder / "members.json"
    members: dict[str, dict[str, object]] = read_members(folder) if file.exists() else {}
    created = []
    for name, role in roles.items():
        if members.get(name, {}).get("role", role) != role:
            raise FleetError(f"{name} is a {members[name]['role']} in {folder}; choose another name for a {role}")
        if name in members and (folder / name / "signing.key").exists():
            continue
        signing_key = Ed25519PrivateKey.generate()
        _write_private(folder / name / "signing.key", _private_bytes(signing_key))
        _issue_certificate(folder, name, authority, hosts, days)
        public_key = signing_key.public_key().public_bytes_raw().hex()
        next_id = max((int(str(entry["platform_id"])) for entry in members.values()), default=0) + 1
        platform_id = members.get(name, {}).get("platform_id", next_id)
        members[name] = {"platform_id": platform_id, "signing_key": public_key, "role": role}
        created.append(name)
    content = json.dumps(members, indent=1, sort_keys=True).encode()
    with write_aside(folder / "members.sig") as temporary:
        temporary.write_bytes(authority.sign(content, ec.ECDSA(SIGNATURE_HASH)))
    with write_aside(file) as temporary:
        temporary.write_bytes(content)
    return created


def _roles_by_name(names_by_role: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the role of each name, which has one alone."""
    roles: dict[str, str] = {}
    for role, names in names_by_role.items():
        for name in names:
            if roles.setdefault(name, role) != role:
                raise FleetError(f"{name} is named as a {roles[name]} and as a {role}; give it one role")
    return roles


def _check_names_and_days(names: Sequence[str], days: int) -> None:
    """Check the names of platforms and the validity of certificates."""
    for name in names:
        validate_name(name, "name")
    if not 1 <= days <= MAX_DAYS:
        raise FleetError(f"certificates for {days} days; give 1 to {MAX_DAYS}")


def _load_or_create_authority(folder: Path, days: int) -> ec.EllipticCurvePrivateKey:
    path = folder / "authority.key"
    if path.exists():
        existing = load_private_key(path)
        if not isinstance(existing, ec.EllipticCurvePrivateKey):
            raise FleetError(f"{path} is no elliptic-curve key; choose another folder")
        return existing
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "skyweave fleet test authority")])
    certificate = (
        _certificate_builder(name, name, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, SIGNATURE_HASH)
    )
    _write_private(path, _private_bytes(key))
    with write_aside(folder / "authority.pem") as temporary:
        temporary.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return key


def _issue_certificate(
    folder: Path, name: str, authority: ec.EllipticCurvePrivateKey, hosts: Sequence[str], days: int
) -> None:
    issuer = load_certificate(folder / "authority.pem")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    addresses: list[x509.GeneralName] = [_general_name(host) for host in ("localhost", "127.0.0.1", "::1", *hosts)]
    certificate = (
        _certificate_builder(subject, issuer.subject, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_dns_name(name)), *addresses]), critical=False)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .sign(authority, SIGNATURE_HASH)
    )
    _write_private(folder / name / "certificate.key", _private_bytes(key))
    with write_aside(folder / name / "certificate.pem") as temporary:
        temporary.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _certificate_builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _key_usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _dns_name(name: str) -> str:
    return name.replace("_", "-")


def _private_bytes(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_private(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    with write_aside(path) as temporary:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
