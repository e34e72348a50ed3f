"""The root secret: made once, its owner's alone, and nothing works with another one."""

from __future__ import annotations

import base64
import os
import subprocess
import sys

import pytest

from propense.errors import ServeError
from propense.security.secrets import (
    FILE,
    KEY_ID,
    VARIABLE,
    Purpose,
    Secrets,
    derive,
    key_id_file,
    open_secrets,
)

ROOT = bytes(range(32))


def test_derivation_is_rfc_5869():
    """Test cases 1 and 3 of the RFC."""
    made = derive(
        bytes([0x0B] * 22), bytes(range(0xF0, 0xFA)), bytes(range(13)), n_bytes=42
    )  # fmt: skip
    assert made.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )
    assert derive(bytes([0x0B] * 22), b"", n_bytes=42).hex() == (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    )
    with pytest.raises(ValueError, match="8160"):
        derive(ROOT, b"", n_bytes=8161)


EXPECTED: dict[Purpose, str] = {
    "keys": "9c680aeea162e89d4c41f715f4ae65c1a4604ea81a03c68ec1ef350c769169c6",
    "suppression": "727dbf6f56667b7099fd3bf89f8e10f3ce4b89d1f05fa807493323228b6caabf",
    "pseudonyms": "512ae6c30123ec4de57f00e048e0cf92885a320aa9ca565662e97f64bf4019a7",
    "audit": "0040b8d69552409be4daddc8b4a8cd4e05f8b156426635fec0a2b17f78d9b36c",
    "webhooks": "f5ea2ca83b4d1b7d1bd630cf6a81836ae7bbe0e1d861a51a79568ad576e62a0e",
    "receipts": "e6e3a344c33353eddcdac023db4a3782787639576948c800dd32df28da4f96cf",
}
"""Keys of ROOT as version 0.1 derived them: data written with them must stay valid."""


def test_keys_of_purposes_differ_and_stay():
    keys = {purpose: Secrets(ROOT).key(purpose) for purpose in EXPECTED}
    assert {purpose: key.hex() for purpose, key in keys.items()} == EXPECTED
    assert Secrets(ROOT).key_id == "24f1145d5f3685b5"
    assert len(set(keys.values())) == 6 and ROOT not in keys.values()
    assert Secrets(bytes(32)).key("keys") != keys["keys"]
    assert ROOT.hex() not in repr(Secrets(ROOT))
    with pytest.raises(ValueError, match="got 31"):
        Secrets(ROOT[:31])


def test_the_file_is_made_once_for_its_owner_alone(tmp_path):
    folder = tmp_path / "live"
    first = open_secrets(folder, {})
    assert (folder / FILE).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o077 == 0
    assert open_secrets(folder, {}).key("keys") == first.key("keys")
    assert open_secrets(tmp_path / "other", {}).key("keys") != first.key("keys")
    assert sorted(path.name for path in folder.iterdir()) == ["secret", "secret.key_id"]


@pytest.mark.parametrize(
    "text",
    [ROOT.hex(), ROOT.hex().upper(), base64.b64encode(ROOT).decode(), f" {ROOT.hex()}\n",
     base64.urlsafe_b64encode(ROOT).decode().rstrip("=")],
)  # fmt: skip
def test_the_environment_gives_it_in_hex_or_base64(tmp_path, text):
    secrets = open_secrets(tmp_path, {VARIABLE: text})
    assert secrets.key("keys") == Secrets(ROOT).key("keys")
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize(
    "text", ["short word", ROOT.hex()[:-1], ROOT[:31].hex(), "zz" * 32, "é" * 64]
)
def test_what_is_no_secret_is_refused_without_being_said(tmp_path, text):
    with pytest.raises(ServeError, match=r"PROPENSE_SECRET is not 32 bytes.*token_hex") as caught:
        open_secrets(tmp_path, {VARIABLE: text})
    assert text not in str(caught.value)


def test_others_may_not_read_the_file(tmp_path):
    open_secrets(tmp_path, {})
    (tmp_path / FILE).chmod(0o640)
    with pytest.raises(ServeError, match=r"mode 0640.*chmod 600"):
        open_secrets(tmp_path, {})
    (tmp_path / FILE).chmod(0o600)
    open_secrets(tmp_path, {})


def test_links_folders_and_pipes_are_no_secret(tmp_path):
    real = tmp_path / "real"
    real.write_text(ROOT.hex())
    real.chmod(0o600)
    for number, make in enumerate((lambda at: at.symlink_to(real), os.mkdir, os.mkfifo)):
        folder = tmp_path / str(number)
        folder.mkdir(mode=0o700)
        make(folder / FILE)
        with pytest.raises(ServeError, match=str(folder / FILE)):
            open_secrets(folder, {})


def test_data_written_with_another_secret_are_refused(tmp_path):
    open_secrets(tmp_path, {})
    with pytest.raises(ServeError, match=r"not the one that.*secret.key_id"):
        open_secrets(tmp_path, {VARIABLE: ROOT.hex()})
    (tmp_path / "secret.key_id").unlink()
    open_secrets(tmp_path, {VARIABLE: ROOT.hex()})
    (tmp_path / FILE).unlink()
    with pytest.raises(ServeError, match="expected"):
        open_secrets(tmp_path, {})


def test_a_data_folder_of_version_0_1_opens(tmp_path):
    """There the file had another name."""
    old = tmp_path / "secret.fingerprint"
    old.write_text(f"{Secrets(ROOT).key_id}\n")
    assert key_id_file(tmp_path) == old
    with pytest.raises(ServeError, match="expected 24f1145d5f3685b5"):
        open_secrets(tmp_path, {VARIABLE: bytes(32).hex()})
    open_secrets(tmp_path, {VARIABLE: ROOT.hex()})
    assert not old.exists()
    assert (tmp_path / KEY_ID).read_text() == "24f1145d5f3685b5\n"
    assert key_id_file(tmp_path) == tmp_path / KEY_ID


def test_processes_that_start_together_agree(tmp_path):
    program = (
        "import sys; from pathlib import Path; "
        "from propense.security.secrets import open_secrets; "
        "print(open_secrets(Path(sys.argv[1]), {}).key('keys').hex())"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "live")]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    keys = {child.communicate()[0] for child in running}
    assert [child.returncode for child in running] == [0] * 4
    assert len(keys) == 1
