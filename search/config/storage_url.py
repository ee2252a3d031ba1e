"""The URL of a PostgreSQL database, split into the part that may be shown and the password."""

from urllib.parse import parse_qsl, unquote, urlsplit

from litetuner.spaces.errors import ConfigError

SCHEMES = ("postgresql", "postgres")
SECRET = ("password", "sslpassword")
FORM = "postgresql://USER@HOST:PORT/DATABASE"


def split_password(url: object) -> tuple[str, str | None]:
    """The URL without its password, and the password. Raises ``ConfigError``, which never shows the URL."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in SCHEMES or not parts.path.strip("/"):
        raise ConfigError(f"storage: it must be the URL of a PostgreSQL database, such as {FORM}.")
    rest = f"{parts.path}?{parts.query}"
    if "@" in rest or parts.fragment:
        raise ConfigError(f"storage: write the characters @ / ? # in a password as %40 %2F %3F %23: {FORM}.")
    if any(name.lower() in SECRET for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise ConfigError("storage: leave the password out of the part after the ?. Use PGPASSWORD or ~/.pgpass.")
    user, at, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{name}{at}{host}{parts.path}{query}", unquote(password) or None
