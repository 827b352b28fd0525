"""The one exception that users are meant to see, its kinds, and what becomes of it in a batch."""

from collections.abc import Callable


class SclviError(Exception):
    """Something the user can mend. The message is one line that says what is wrong and where (which file or option)."""


class PictureError(SclviError):
    """A picture that cannot be used. The line starts with its path; the rest of a batch goes on without it."""


def about(name: str, error: SclviError) -> SclviError:
    """The error, its line starting with the name of the picture that it is about."""
    message = str(error)
    return error if message.startswith(name) else SclviError(f"{name}: {message}")


OnSkip = Callable[[str, SclviError], None]  # told the name and the error of what is left out


def leave_out(name: str, error: SclviError, on_skip: OnSkip | None) -> None:
    """Tell `on_skip` what is left out of a batch, or raise the error where nobody wants to be told."""
    if on_skip is None:
        raise error
    on_skip(name, error)
