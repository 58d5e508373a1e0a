"""The token that Edgelet mounts, while it is swapped as well."""

import ssl
import threading

import pytest

from iofog_sdk import NodeUnreachable
from iofog_sdk.http.service_account import ServiceAccount
from local_agent.service_accounts import Authority, ServiceAccounts


def account_with(folder, token):
    (folder / "token").write_bytes(token)
    return ServiceAccount(folder)


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (b"", "token is empty"),
        (b" \n", "token is empty"),
        (b"a b", "token is not a bearer token"),
        (b"a\r\nHost: x", "token is not a bearer token"),
        (b"a\0", "token is not a bearer token"),
        (b"a" * 70_000, "token is not a bearer token"),
        (b"\xff", "token: not ASCII"),
    ],
)
def test_a_token_that_no_header_can_carry_is_refused(tmp_path, token, words):
    with pytest.raises(NodeUnreachable, match=f"^{tmp_path}/{words}; "):
        account_with(tmp_path, token).authorization()
    assert account_with(tmp_path, b"a.b-c\n").authorization() == ("Authorization", "Bearer a.b-c")


def test_a_rotation_at_any_moment_fails_no_request(tmp_path):
    mounted = ServiceAccounts(tmp_path / "accounts", Authority(tmp_path / "authority"))
    account = ServiceAccount(mounted.folder_of("m"))
    ended = threading.Event()

    def rotate():
        while not ended.is_set():
            mounted.rotate("m")

    rotating = threading.Thread(target=rotate)
    rotating.start()
    try:
        tokens = {account.authorization()[1] for _ in range(3000)}
        assert all(isinstance(account.tls()["ssl"], ssl.SSLContext) for _ in range(30))
    finally:
        ended.set()
        rotating.join()
    assert len(tokens) > 1


def test_between_two_links_of_a_file_the_current_folder_is_read(tmp_path):
    mounted = ServiceAccounts(tmp_path / "accounts", Authority(tmp_path / "authority"))
    account = ServiceAccount(mounted.folder_of("m"))
    before = account.authorization()
    for name in ("token", "ca.crt"):
        (account.folder / name).unlink()
    assert account.authorization() == before
    account.tls()


def test_files_without_a_link_to_their_folder_are_read_too(tmp_path):
    assert account_with(tmp_path, b"abc").authorization() == ("Authorization", "Bearer abc")
