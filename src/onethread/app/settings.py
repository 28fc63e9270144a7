"""Every setting, read once from the environment (or a .env file) and passed on as values."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, HttpUrl, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from onethread.platform.addresses import Allowed

Words = Annotated[tuple[str, ...], NoDecode]  # written with commas


class Settings(BaseSettings):
    """What an operator may choose; the environment variable is `ONETHREAD_` and the name in capitals.

    docs/reference/settings.md explains each one.
    """

    model_config = SettingsConfigDict(
        env_prefix="ONETHREAD_",
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    # Where we live.
    data: Path = Path("data")
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    public_url: HttpUrl | None = None
    trusted_proxies: Words = ("127.0.0.1", "::1")

    # The database.
    database_url: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("ONETHREAD_DATABASE_URL", "DATABASE_URL")
    )
    database_connections: int = Field(default=12, ge=4, le=200)

    # Files.
    files_url: str | None = None
    files_max_mb: int = Field(default=50, ge=1, le=5000)

    # Secrets.
    secret_key: SecretStr | None = None

    # The world outside.
    outward_allow: Words = ()
    outward_timeout: float = Field(default=20.0, gt=0, le=300)

    # Our own letters.
    smtp_host: str | None = None
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_security: Literal["tls", "starttls", "none"] = "starttls"
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_sender: str | None = None
    smtp_sender_name: str = "Onethread"

    # Mail that comes in.
    mail_host: str = "127.0.0.1"
    mail_port: int | None = Field(default=None, ge=0, le=65535)
    mail_protocol: Literal["lmtp", "smtp"] = "lmtp"

    # Sign-in of agents.
    session_hours: int = Field(default=12, ge=1, le=24 * 90)
    oidc_issuer: HttpUrl | None = None
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None
    oidc_label: str = "Sign in with your organisation"

    # What we tell.
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    metrics_token: SecretStr | None = None
    api_docs: bool = False

    @field_validator("trusted_proxies", "outward_allow", mode="before")
    @classmethod
    def _apart(cls, value: object) -> object:
        """Take `a, b` as two words."""
        if isinstance(value, str):
            return tuple(word.strip() for word in value.split(",") if word.strip())
        return value

    @field_validator("trusted_proxies", "outward_allow")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        Allowed.of(value)
        return value

    @property
    def address(self) -> str:
        """The address people reach us at, without a slash at the end."""
        if self.public_url is not None:
            return str(self.public_url).rstrip("/")
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
