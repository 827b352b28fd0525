"""The one exception that users are meant to see, its kinds, and what becomes of it in a batch."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class SclviError(Exception):
    """Something the user can mend. The message is one line that says what is wrong and where (which file or option)."""


class PictureError(SclviError):
    """A picture that cannot be used. The line starts with its path; the rest of a batch goes on without it."""


def about(name: str, error: SclviError) -> SclviError:
    """The error, its line starting with the name of the picture that it is about."""
    message = str(error)
    return error if message.startswith(name) else SclviError(f"{name}: {message}")


def reason(name: str, error: SclviError) -> str:
    """What the error says, where the name of the picture that it is about stands beside it."""
    return str(error).removeprefix(f"{name}: ")


def complaint_line(error: "ValidationError") -> str:
    """The first thing that is wrong, and where."""
    place, _, message = complaint(error)
    return f"{place}: {message}" if place else message


def complaint(error: "ValidationError") -> tuple[str, str, str]:
    """The first thing that is wrong: its place, such as "regions.0.name" or "", its kind, and what is wrong."""
    first = error.errors()[0]
    return ".".join(map(str, first["loc"])), first["type"], first["msg"].removeprefix("Value error, ")


OnSkip = Callable[[str, SclviError], None]  # told the name and the error of what is left out


def leave_out(name: str, error: SclviError, on_skip: OnSkip | None) -> None:
    """Tell `on_skip` what is left out of a batch, or raise the error where nobody wants to be told."""
    if on_skip is None:
        raise error
    on_skip(name, error)
