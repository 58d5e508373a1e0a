"""The token that Edgelet mounts, while it is swapped as well."""

import pytest

from iofog_sdk import NodeUnreachable
from iofog_sdk.http.service_account import ServiceAccount


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
        (b"a" * 20_000, "token is not a bearer token"),
        (b"\xff", "token: not ASCII"),
    ],
)
def test_a_token_that_no_header_can_carry_is_refused(tmp_path, token, words):
    with pytest.raises(NodeUnreachable, match=f"^{tmp_path}/{words}; "):
        account_with(tmp_path, token).authorization()
    assert account_with(tmp_path, b"a.b-c\n").authorization() == ("Authorization", "Bearer a.b-c")
