"""Who belongs to a fleet: an authority, a certificate and a signing key for each member, on disk.

    FOLDER/authority.pem            the authority's certificate: everybody needs it
    FOLDER/authority.key            its key: keep it away from the platforms
    FOLDER/members.json             public signing keys by name, and how members are numbered; signed by the authority
    FOLDER/members.sig
    FOLDER/NAME/certificate.pem     for TLS
    FOLDER/NAME/certificate.key
    FOLDER/NAME/signing.key         for messages

A platform gets ``authority.pem``, ``members.json``, ``members.sig`` and its own folder. This is a test authority: for a
fleet that matters, let your own infrastructure issue certificates whose common name is the platform's.
"""

import datetime
import ipaddress
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import FleetError
from skyweave.fleet.link.topics import validate_name
from skyweave.fleet.link.zenoh import TlsCertificates

DAYS = 365
SIGNATURE_HASH = hashes.SHA256()


@dataclass(frozen=True)
class Member:
    """One platform as the others know it.

    Attributes:
        name: of the platform, and common name of its certificate.
        number: by which the wire format knows it.
        public: key that its messages are signed with.
    """

    name: str
    number: int
    public: Ed25519PublicKey


@dataclass(frozen=True)
class Credentials:
    """What one platform needs to be believed and to know whom to believe.

    Attributes:
        name: ours.
        certificates: for TLS.
        signing: our key for messages.
        members: all members by name, ourselves included.
    """

    name: str
    certificates: TlsCertificates
    signing: Ed25519PrivateKey
    members: dict[str, Member]


def create_keys(folder: str | Path, names: Sequence[str], hosts: Sequence[str] = (), days: int = DAYS) -> list[str]:
    """Make an authority (unless there is one) and keys for those names that have none.

    Args:
        folder: where; made private.
        names: of platforms, of viewers, of routers.
        hosts: addresses and host names to put into the certificates besides ``localhost``.
        days: for which certificates hold.

    Returns:
        The names for which keys were made.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name in names:
        validate_name(name, "name")
    authority = _authority(folder, days)
    file = folder / "members.json"
    members: dict[str, dict[str, object]] = _read_members(folder) if file.exists() else {}
    made = []
    for name in dict.fromkeys(names):
        if name in members and (folder / name / "signing.key").exists():
            continue
        signing = Ed25519PrivateKey.generate()
        _write_private(folder / name / "signing.key", _private_bytes(signing))
        _certificate(folder, name, authority, hosts, days)
        public = signing.public_key().public_bytes_raw().hex()
        number = max((int(str(entry["number"])) for entry in members.values()), default=0) + 1
        members[name] = {"number": members.get(name, {}).get("number", number), "signing": public}
        made.append(name)
    content = json.dumps(members, indent=1, sort_keys=True).encode()
    with write_aside(folder / "members.sig") as aside:
        aside.write_bytes(authority.sign(content, ec.ECDSA(SIGNATURE_HASH)))
    with write_aside(file) as aside:
        aside.write_bytes(content)
    return made


def load_credentials(folder: str | Path, name: str) -> Credentials:
    """What ``create_keys`` made for one member.

    Raises:
        FileNotFoundError: no such file.
        ValueError: members that the authority has not signed, or a name that is not among them.
    """
    folder = Path(folder)
    members = {
        member: Member(member, int(str(entry["number"])), Ed25519PublicKey.from_public_bytes(_hex(entry["signing"])))
        for member, entry in _read_members(folder).items()
    }
    if name not in members:
        raise FleetError(f"{folder} has no keys for {name!r}; it has {', '.join(sorted(members))}")
    signing = serialization.load_pem_private_key((folder / name / "signing.key").read_bytes(), None)
    if not isinstance(signing, Ed25519PrivateKey):
        raise FleetError(f"{folder / name / 'signing.key'} is no Ed25519 key; make keys with `skyweave fleet keys`")
    if signing.public_key().public_bytes_raw() != members[name].public.public_bytes_raw():
        raise FleetError(f"{folder / name / 'signing.key'} is not the key that members.json has for {name!r}")
    certificates = TlsCertificates(
        folder / "authority.pem", folder / name / "certificate.pem", folder / name / "certificate.key"
    )
    for path in (certificates.authority, certificates.certificate, certificates.key):
        if not path.exists():
            raise FileNotFoundError(f"no such file: {path}; copy the platform's whole folder")
    return Credentials(name, certificates, signing, members)


def _read_members(folder: Path) -> dict[str, dict[str, object]]:
    content = (folder / "members.json").read_bytes()
    certificate = x509.load_pem_x509_certificate((folder / "authority.pem").read_bytes())
    public = certificate.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise FleetError(f"{folder / 'authority.pem'} is not made by `skyweave fleet keys`; an EC key is needed")
    try:
        public.verify((folder / "members.sig").read_bytes(), content, ec.ECDSA(SIGNATURE_HASH))
    except InvalidSignature:
        raise FleetError(
            f"{folder / 'members.json'} is not signed by {folder / 'authority.pem'}; copy all of them together"
        ) from None
    members: dict[str, dict[str, object]] = json.loads(content)
    return members


def _authority(folder: Path, days: int) -> ec.EllipticCurvePrivateKey:
    path = folder / "authority.key"
    if path.exists():
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise FleetError(f"{path} is no elliptic-curve key; choose another folder")
        return key
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "skyweave fleet test authority")])
    certificate = (
        _builder(name, name, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, SIGNATURE_HASH)
    )
    _write_private(path, _private_bytes(key))
    with write_aside(folder / "authority.pem") as aside:
        aside.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return key


def _certificate(
    folder: Path, name: str, authority: ec.EllipticCurvePrivateKey, hosts: Sequence[str], days: int
) -> None:
    issuer = x509.load_pem_x509_certificate((folder / "authority.pem").read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    others: list[x509.GeneralName] = [_general_name(host) for host in ("localhost", "127.0.0.1", "::1", *hosts)]
    certificate = (
        _builder(subject, issuer.subject, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_dns(name)), *others]), critical=False)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .sign(authority, SIGNATURE_HASH)
    )
    _write_private(folder / name / "certificate.key", _private_bytes(key))
    with write_aside(folder / name / "certificate.pem") as aside:
        aside.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _builder(
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


def _usage(signs_certificates: bool) -> x509.KeyUsage:
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


def _dns(name: str) -> str:
    return name.replace("_", "-")


def _private_bytes(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_private(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    with write_aside(path) as aside:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)


def _hex(value: object) -> bytes:
    return bytes.fromhex(str(value))
