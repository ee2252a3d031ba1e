"""The password of ``--storage`` is taken out of the URL before anything else sees it."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from litetuner.search.config.config import make_config
from litetuner.search.config.storage_url import split_password
from litetuner.search.config.toml_file import to_toml
from litetuner.spaces.errors import ConfigError

CANARY = "c4nary"
BASE = {"model": "m", "data": "d"}


@pytest.mark.parametrize(
    ("url", "shown", "password"),
    [
        ("postgresql://u:c4nary@h:5432/d", "postgresql://u@h:5432/d", CANARY),
        ("postgresql://u:c4n%40ry@h/d?sslmode=require", "postgresql://u@h/d?sslmode=require", "c4n@ry"),
        ("postgres://u:a:b@h/d", "postgres://u@h/d", "a:b"),
        ("postgresql://u@h/d", "postgresql://u@h/d", None),
        ("postgresql:///d", "postgresql:///d", None),
        ("postgresql://u:@h1:1,h2:2/d", "postgresql://u@h1:1,h2:2/d", None),
    ],
)
def test_a_url_and_its_password(url: str, shown: str, password: str | None) -> None:
    assert split_password(url) == (shown, password)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:c4nary@h/d",
        "postgresql://u:c4nary@h",
        "postgresql://u:c4nary/@h/d",
        "postgresql://u:c4nary#@h/d",
        "postgresql://u:c4nary?x@h/d",
        "postgresql://u:[c4nary@h/d",
        "postgresql://u@h/d?password=c4nary",
        "postgresql://u@h/d?SSLPassword=c4nary",
        "c4nary",
        ["postgresql://u:c4nary@h/d"],
        b"postgresql://u:c4nary@h/d",
    ],
)
def test_an_error_never_shows_it(url: object) -> None:
    with pytest.raises(ConfigError, match=r"storage: ") as caught:
        make_config(BASE | {"storage": url})
    seen: BaseException | None = caught.value
    while seen is not None:
        assert CANARY not in str(seen)
        seen = seen.__cause__ or seen.__context__


def test_a_configuration_shows_and_writes_the_url_alone() -> None:
    config = make_config(BASE | {"storage": f"postgresql://u:{CANARY}@h/d"})
    assert config.storage == "postgresql://u@h/d" and config.password == CANARY
    assert config.model_copy(update={"seed": 1}).password == copy.copy(config).password == CANARY
    assert "u@h/d" in to_toml(config)
    for text in (repr(config), str(config), to_toml(config), str(config.model_dump()), config.model_dump_json()):
        assert CANARY not in text
    assert make_config(BASE).password is None


def test_other_errors_do_not_show_it(tmp_path: Path) -> None:
    for wrong in ({"trials": 0}, {"nothing": 1}, {"target": ["host", "host"]}, {"profile": "x"}, {"model": None}):
        with pytest.raises(ConfigError) as caught:
            make_config(BASE | {"storage": f"postgresql://u:{CANARY}@h/d"} | wrong)
        assert CANARY not in str(caught.value) + repr(caught.value.__cause__)
