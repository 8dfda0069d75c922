"""The address of an index in a database: what is one, and what of it no message shows."""

from pathlib import Path

import pytest

from item_embed.errors import VectorError
from item_embed.search.address import is_address, read_address
from item_embed.search.index import ProductIndex


def test_the_passwords_form_does_not_matter() -> None:
    for url in ("postgresql://me:p%20w@h/d", "postgresql://h/d?user=me&password=p%20w"):
        address = read_address(url)
        assert "p%20w" in address.connection
        assert "p%20w" not in address.shown
        assert "p%20w" not in repr(address)
        assert address.secrets == {"p%20w", "p w"}


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://[me:se%40cret@host/db",
        "postgresql://me:se%40cret@[::1/db",
        "postgresql://me:se%40cret@host:port/db",
        "postgresql://me:se%40cret@host:65536/db",
        "postgresql://me:se%40cret@one:5432,two:port/db",
        "postgresql://me:se/cret@host/db",
        "postgresql:///db?statement_timeout=soon",
    ],
)
def test_what_cannot_be_read_is_told_how_to_be_written(url: str) -> None:
    with pytest.raises(
        VectorError, match=r"cannot be read; write postgresql://user@host.* the port as a number"
    ) as told:
        read_address(url)
    assert "cret" not in str(told.value)


@pytest.mark.parametrize("hosts", ["", "host", "host:5432", "[::1]:5432", "one:5432,two:5433", "%2Frun%2Fpg"])
def test_hosts_and_ports_are_left_to_libpq(hosts: str) -> None:
    assert f"//me@{hosts}/db" in read_address(f"postgresql://me@{hosts}/db").connection


def test_what_is_waited_for_can_be_said() -> None:
    waiting = read_address("postgresql://h/d").connection.partition("?")[2].split("&")
    assert {"connect_timeout=10", "keepalives_idle=30", "keepalives_interval=10"} <= set(waiting)
    assert "tcp_user_timeout=60000" in waiting
    said = read_address("postgresql://h/d?connect_timeout=3&tcp_user_timeout=5000").connection
    assert "connect_timeout=3" in said
    assert "tcp_user_timeout=5000" in said
    assert said.count("timeout") == 2


def test_the_schemes_letters_may_be_capitals() -> None:
    assert is_address("POSTGRESQL://h/d")
    assert is_address("Postgres:///d")
    assert read_address("POSTGRESQL://h/d").connection.startswith("postgresql://h/d?")
    assert not is_address("postgresql/index")
    assert not is_address(Path("indexes/postgres"))


@pytest.mark.parametrize("path", [Path("postgresql://me:secret@h/d"), Path("POSTGRES:///d"), "postgresql:/d"])
def test_a_url_that_lost_a_slash_is_no_folder(path: str | Path) -> None:
    with pytest.raises(VectorError, match="give it as a text, not as a Path") as told:
        ProductIndex.open(path)
    assert "secret" not in str(told.value)
