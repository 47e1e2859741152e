"""Where systemd puts a service's keys: units have `LoadCredential=keys:DIRECTORY/keys`, so they stay root's own.

The configuration names its keys as they lie on disk, for people and for the tools that make them; a service finds the
copies that it was given under another name, and only there.
"""

KEYS_DIRECTORY = "keys"


def credential_path(path: str, config_directory: str, credentials_directory: str | None) -> str:
    """Return where to read this file: file NAME of `keys` beside the configuration is the credential `keys_NAME`.

    `credentials_directory`: systemd's $CREDENTIALS_DIRECTORY; without it, and for every other file, the path itself.
    """
    directory, _, name = path.rpartition("/")
    if not credentials_directory or directory != f"{config_directory.rstrip('/')}/{KEYS_DIRECTORY}":
        return path
    return f"{credentials_directory}/{KEYS_DIRECTORY}_{name}"
