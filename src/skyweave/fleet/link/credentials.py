"""The credentials of a fleet's members on disk, as `skyweave.fleet.link.certificate_authority` makes them.

    FOLDER/authority.pem            the authority's certificate: every member needs it
    FOLDER/authority.key            its key: keep it away from the platforms
    FOLDER/members.json             public signing keys, roles and numbers by name; signed by the authority
    FOLDER/members.sig
    FOLDER/NAME/certificate.pem     for TLS
    FOLDER/NAME/certificate.key
    FOLDER/NAME/signing.key         for messages

A platform gets ``authority.pem``, ``members.json``, ``members.sig`` and its own folder.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from skyweave.core.errors import FleetError
from skyweave.core.json_text import parse_json
from skyweave.fleet.link.topics import MAX_NAME_LENGTH, validate_name

SIGNATURE_HASH = hashes.SHA256()
PLATFORM, VIEWER, RELAY = "platform", "viewer", "relay"
ROLES = (PLATFORM, VIEWER, RELAY)


@dataclass(frozen=True)
class TlsCertificates:
    """Files for mutual TLS, PEM.

    Attributes:
        authority: the fleet's authority.
        certificate: this member's certificate.
        key: this member's private key.
    """

    authority: Path
    certificate: Path
    key: Path


@dataclass(frozen=True)
class Member:
    """One member of a fleet as the others know it.

    Attributes:
        name: of the platform, and common name of its certificate.
        platform_id: number by which the wire format knows it.
        public_key: that its messages are verified with.
        role: a ``platform`` speaks, a ``viewer`` only listens, a ``relay`` is a router that passes messages on.
    """

    name: str
    platform_id: int
    public_key: Ed25519PublicKey
    role: str = PLATFORM


@dataclass(frozen=True)
class Credentials:
    """What one member needs to be believed, and to know whom to believe.

    Attributes:
        name: of this member.
        certificates: for TLS.
        signing_key: this member's key for messages.
        members: all members by name, this one included.
    """

    name: str
    certificates: TlsCertificates
    signing_key: Ed25519PrivateKey
    members: dict[str, Member]


def load_credentials(folder: str | Path, name: str) -> Credentials:
    """Load what `skyweave.fleet.link.certificate_authority.create_keys` made for one member.

    Args:
        folder: of ``skyweave fleet keys``.
        name: of the member.

    Raises:
        FileNotFoundError: no such file.
        FleetError: members that the authority has not signed, a name that is not among them, or a damaged key.
    """
    folder = Path(folder)
    members = _parse_members(read_members(folder), folder)
    _check_member(name, members, folder)
    path = folder / name / "signing.key"
    signing_key = _load_signing_key(path, members, name)
    certificates = _certificates(folder, name)
    return Credentials(name, certificates, signing_key, members)


def _load_signing_key(path: Path, members: dict[str, Member], name: str) -> Ed25519PrivateKey:
    """Load the signing key and check that it is the one of the members."""
    signing_key = load_private_key(path)
    if not isinstance(signing_key, Ed25519PrivateKey):
        raise FleetError(f"{path} is no Ed25519 key; make keys with `skyweave fleet keys`")
    if signing_key.public_key().public_bytes_raw() != members[name].public_key.public_bytes_raw():
        raise FleetError(f"{path} is not the key that members.json has for {name!r}")
    return signing_key


def _certificates(folder: Path, name: str) -> TlsCertificates:
    """Return the files of the certificates, which must exist."""
    certificates = TlsCertificates(
        folder / "authority.pem", folder / name / "certificate.pem", folder / name / "certificate.key"
    )
    for file in (certificates.authority, certificates.certificate, certificates.key):
        if not file.exists():
            raise FileNotFoundError(f"no such file: {file}; copy the platform's whole folder")
    return certificates


def _check_member(name: str, members: dict[str, Member], folder: Path) -> None:
    """Check that the keys hold those of the name."""
    if name not in members:
        raise FleetError(f"{folder} has no keys for {name!r}; it has {', '.join(sorted(members))}")


def read_members(folder: Path) -> dict[str, dict[str, object]]:
    """Return the content of ``members.json`` by name, after verifying the authority's signature.

    Args:
        folder: of ``skyweave fleet keys``.

    Raises:
        FileNotFoundError: no such file.
        FleetError: the signature is not the authority's, or a file is damaged.
    """
    file = folder / "members.json"
    if not file.exists():
        raise FileNotFoundError(f"{folder} holds no keys ({file.name}); make them with `skyweave fleet keys`")
    content = file.read_bytes()
    public_key = load_certificate(folder / "authority.pem").public_key()
    if not isinstance(public_key, ec.EllipticCurvePublicKey):
        raise FleetError(f"{folder / 'authority.pem'} is not made by `skyweave fleet keys`; an EC key is needed")
    try:
        public_key.verify((folder / "members.sig").read_bytes(), content, ec.ECDSA(SIGNATURE_HASH))
    except InvalidSignature:
        raise FleetError(
            f"{folder / 'members.json'} is not signed by {folder / 'authority.pem'}; copy all of them together"
        ) from None
    try:
        members = parse_json(content)
    except ValueError as error:
        raise FleetError(f"{file} is no JSON ({error}); make keys anew with `skyweave fleet keys`") from error
    if not isinstance(members, dict):
        raise FleetError(f"{file} names no members; make keys anew with `skyweave fleet keys`")
    return members


def _parse_platform_id(number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 32:
        raise ValueError(f"platform_id {number!r}")
    return number


def _parse_role(role: object) -> str:
    if role not in ROLES:
        raise ValueError(f"role {role!r}")
    return str(role)


def load_private_key(path: Path) -> object:
    """Load a private key from a PEM file.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: no such file.
        FleetError: it holds no unencrypted private key.
    """
    try:
        return serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise FleetError(f"{path} holds no private key: {error}; make keys with `skyweave fleet keys`") from error


def load_certificate(path: Path) -> x509.Certificate:
    """Load a certificate from a PEM file.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: no such file.
        FleetError: it holds no certificate.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        raise FleetError(f"{path} holds no certificate: {error}; make keys with `skyweave fleet keys`") from error


def _parse_members(content: dict[str, dict[str, object]], folder: Path) -> dict[str, Member]:
    """Return the members by name; names are words of topics, numbers and keys those of one member each."""
    members = {}
    for name, entry in content.items():
        try:
            public_key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(str(entry["signing_key"])))
            number, role = _parse_platform_id(entry["platform_id"]), _parse_role(entry["role"])
            members[validate_name(name, "member")] = Member(name, number, public_key, role)
        except (KeyError, TypeError, ValueError) as error:
            raise FleetError(
                f"{folder / 'members.json'}: the entry of {name[:MAX_NAME_LENGTH]!r} is damaged ({error!r}); make keys "
                "anew with `skyweave fleet keys`"
            ) from error
    _check_unique("number", [member.platform_id for member in members.values()], folder)
    _check_unique("key", [member.public_key.public_bytes_raw() for member in members.values()], folder)
    return members


def _check_unique(what: str, values: Sequence[object], folder: Path) -> None:
    """Check that no two members share a number or key: one could speak for the other."""
    if len(set(values)) < len(values):
        raise FleetError(
            f"{folder / 'members.json'}: two members have the same {what}; make keys anew with `skyweave fleet keys`"
        )
