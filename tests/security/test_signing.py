"""Signed bundles: what was damaged or forged is refused, in one kind of error."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys

import msgspec
import pytest

from benchmarks.harness import mutations
from propense.errors import BundleError, MissingExtraError, SettingsError
from propense.inference.artifact.manifest import MANIFEST_BYTES, read_manifest, write_manifest
from propense.inference.shelf import activate, list_versions, promote
from propense.security.signing import (
    ANY_SIGNER,
    SIGNATURE,
    Signers,
    check_signature,
    is_signed,
    make_signing_key,
    public_pem,
    read_public_keys,
    sign_bundle,
    sign_with_seed,
    signers_of,
)
from propense.settings import parse_settings


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """File of a private key, and its public keys as read."""
    file = tmp_path_factory.mktemp("keys") / "shelf.pem"
    return file, read_public_keys(make_signing_key(file))


@pytest.fixture(scope="module")
def signed(tmp_path_factory, keys):
    """Files as a bundle has them, listed and signed."""
    folder = tmp_path_factory.mktemp("shelf") / "v0001"
    rng = random.Random(1)
    for name in ("bundle.json", "encoder/encoder.json", "evaluated/goals.onnx", "report.json",
                 "refreshed/goals.onnx", "content/content.json"):  # fmt: skip
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(rng.randbytes(300))
    write_manifest(folder, "0.1.0", "2025-01-01T00:00:00+00:00")
    sign_bundle(folder, keys[0])
    return folder


@pytest.mark.parametrize("mutate", mutations.MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_what_was_damaged_or_forged_is_refused(tmp_path, signed, keys, mutate):
    rng, done = random.Random(mutate.__name__), 0
    for number in range(40):
        folder = tmp_path / str(number) / signed.name
        mutations.link_copy(signed, folder)
        if not mutate(folder, rng):
            continue
        done += 1
        with pytest.raises(BundleError, match="bundle"):
            read_manifest(folder, signers=Signers(keys[1]))
        if mutate in mutations.SEEN_BY_SIGNATURE_ALONE:
            read_manifest(folder)
        elif (folder / SIGNATURE).is_file():
            without = check_without_key(folder)
            assert isinstance(without, BundleError) or is_as_signed(folder, signed)
    assert done > 5
    read_manifest(signed, signers=Signers(keys[1]))


def check_without_key(folder):
    try:
        read_manifest(folder)
    except BundleError as error:
        return error
    return None


def is_as_signed(folder, signed):
    """Whether only the signature, or what lies outside the content, was changed."""
    old, new = (msgspec.json.decode((at / "manifest.json").read_bytes()) for at in (signed, folder))
    return all(old[name] == new.get(name) for name in ("format", "content", "files"))


def test_without_public_keys_a_signature_is_not_asked_for(signed):
    manifest = read_manifest(signed)
    assert SIGNATURE not in manifest.files
    assert (signed / SIGNATURE).stat().st_size == 64


def test_any_of_several_public_keys_will_do(tmp_path, signed, keys):
    other = make_signing_key(tmp_path / "new.pem")
    both = tmp_path / "both.pub"
    both.write_bytes(other.read_bytes() + public_pem(keys[1][0]))
    assert len(read_public_keys(both)) == 2
    read_manifest(signed, signers=Signers(read_public_keys(both)))
    with pytest.raises(BundleError, match=r"signed with a key that is not in \[pack\] public_key"):
        read_manifest(signed, signers=Signers(read_public_keys(other)))


def test_the_signature_is_checked_even_where_files_are_not(tmp_path, signed, keys):
    folder = tmp_path / "v0001"
    shutil.copytree(signed, folder)
    (folder / "report.json").write_bytes(b"other")
    read_manifest(folder, verify=False, signers=Signers(keys[1]))
    (folder / "manifest.json").write_bytes((folder / "manifest.json").read_bytes() + b" ")
    with pytest.raises(BundleError, match="was changed"):
        read_manifest(folder, verify=False, signers=Signers(keys[1]))


def test_a_manifest_is_read_within_bounds(tmp_path):
    (tmp_path / "manifest.json").write_bytes(b" " * (MANIFEST_BYTES + 1))
    with pytest.raises(BundleError, match="more than"):
        read_manifest(tmp_path)


def test_names_of_a_manifest_stay_within_the_bundle(tmp_path, signed):
    folder = tmp_path / "shelf" / "v0001"
    shutil.copytree(signed, folder)
    outside = tmp_path / "shelf" / "outside"
    outside.write_bytes(b"x")
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes())
    for name in ("../outside", str(outside), "encoder/../report.json", "./report.json"):
        changed = manifest | {"files": manifest["files"] | {name: "0" * 64}}
        (folder / "manifest.json").write_bytes(msgspec.json.encode(changed))
        with pytest.raises(BundleError, match="not a path within"):
            read_manifest(folder)


def test_a_bundle_is_made_of_plain_files(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "link").symlink_to("a.json")
    with pytest.raises(BundleError, match=r"'link', which is a link"):
        write_manifest(tmp_path, "0.1.0", "now")


def test_a_manifest_in_a_lower_folder_is_a_file_like_others(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "manifest.json").write_text("{}")
    manifest = write_manifest(tmp_path, "0.1.0", "now")
    assert list(manifest.files) == ["inner/manifest.json"]
    (tmp_path / "inner" / "manifest.json").write_text("[]")
    with pytest.raises(BundleError, match="was changed"):
        read_manifest(tmp_path)


def test_the_shelf_promotes_no_unsigned_bundle(tmp_path, signed, keys):
    shelf = tmp_path / "shelf"
    shutil.copytree(signed, shelf / "v0001")
    (shelf / "v0001" / SIGNATURE).unlink()
    assert [version.name for version in list_versions(shelf)] == ["v0001"]
    with pytest.raises(BundleError, match="propense shelf sign v0001"):
        promote(shelf, "v0001", "because", "now", Signers(keys[1]))
    activate(shelf, "v0001", "because", "now")


def test_keys_are_never_written_over_and_kept_from_others(tmp_path, signed):
    file = tmp_path / "deep" / "key.pem"
    public = make_signing_key(file)
    assert file.stat().st_mode & 0o777 == 0o600
    content = file.read_bytes()
    with pytest.raises(SettingsError, match="never overwritten"):
        make_signing_key(file)
    assert file.read_bytes() == content
    file.chmod(0o644)
    with pytest.raises(SettingsError, match=r"mode 0644.*chmod 600"):
        sign_bundle(signed, file)
    with pytest.raises(SettingsError, match=r"ends in \.pub"):
        read_public_keys(file)
    public.chmod(0o600)
    with pytest.raises(SettingsError, match="cannot be used"):
        sign_bundle(signed, public)


SHORT = b"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, SHORT, b"x" * 70_000])
def test_what_is_no_public_key_is_named(tmp_path, content):
    (tmp_path / "key.pub").write_bytes(content)
    settings = parse_settings(
        {"users": {"path": "u.csv"}, "pack": {"public_key": "key.pub"}}, folder=tmp_path
    )
    with pytest.raises(SettingsError, match=r"key\.pub"):
        signers_of(settings)
    (tmp_path / "key.pub").unlink()
    with pytest.raises(SettingsError, match="propense shelf keygen"):
        signers_of(settings)
    assert signers_of(parse_settings({"users": {"path": "u.csv"}})) == ANY_SIGNER


def test_signatures_are_rfc_8032():
    """Test 2 of the RFC."""
    seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    signature, public = sign_with_seed(b"\x72", seed)
    assert public.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert signature.hex().startswith("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223")
    assert is_signed(b"\x72", signature, public)
    assert not is_signed(b"\x73", signature, public)
    assert not is_signed(b"\x72", signature, public[:-1])
    assert not is_signed(b"\x72", b"", public)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_other_tools_can_check_a_bundle(signed, keys):
    public = keys[0].with_name(keys[0].name + ".pub")
    words = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(public), "-rawin",
             "-in", "manifest.json", "-sigfile", SIGNATURE]  # fmt: skip
    done = subprocess.run(words, cwd=signed, capture_output=True, text=True)
    assert "Signature Verified Successfully" in done.stdout, done.stderr


def test_without_the_package_the_extra_is_named(tmp_path, signed, keys, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    content = (signed / "manifest.json").read_bytes()
    for call in (
        lambda: check_signature(signed, content, keys[1]),
        lambda: make_signing_key(tmp_path / "k.pem"),
        lambda: sign_bundle(signed, keys[0]),
    ):
        with pytest.raises(MissingExtraError, match=r"propense\[serve\]"):
            call()
    read_manifest(signed)
    assert read_public_keys(keys[0].with_name(keys[0].name + ".pub")) == keys[1]
