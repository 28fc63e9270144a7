import pytest
from pydantic import ValidationError

from onethread.app.settings import Settings


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("ONETHREAD_") or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))


def test_nothing_has_to_be_set() -> None:
    settings = Settings()
    assert settings.database_url is None
    assert settings.address == "http://127.0.0.1:8080"


def test_words_come_apart_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONETHREAD_OUTWARD_ALLOW", "erp.local, 10.0.0.0/8")
    assert Settings().outward_allow == ("erp.local", "10.0.0.0/8")


@pytest.mark.parametrize("name", ["DATABASE_URL", "ONETHREAD_DATABASE_URL"])
def test_both_names_of_the_database_are_understood(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "postgresql://ana:secret@db/onethread")
    settings = Settings()
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value().endswith("@db/onethread")
    assert "secret@" not in repr(settings)


@pytest.mark.parametrize(
    ("host", "public", "address"),
    [
        ("0.0.0.0", "", "http://127.0.0.1:8080"),
        ("::1", "", "http://[::1]:8080"),
        ("0.0.0.0", "https://talk.cornershop.example/", "https://talk.cornershop.example"),
    ],
)
def test_the_address_people_reach_us_at(monkeypatch: pytest.MonkeyPatch, host: str, public: str, address: str) -> None:
    monkeypatch.setenv("ONETHREAD_HOST", host)
    monkeypatch.setenv("ONETHREAD_PUBLIC_URL", public)
    assert Settings().address == address


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "70000"), ("OUTWARD_ALLOW", "10.0.0.0/99"), ("LOG_LEVEL", "loud"), ("PUBLIC_URL", "talk.example")],
)
def test_a_wrong_setting_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"ONETHREAD_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()
