"""The one exception that users are meant to see, and its kinds."""


class SclviError(Exception):
    """Something the user can mend. The message is one line that says what is wrong and where (which file or option)."""


class PictureError(SclviError):
    """A picture that cannot be used. The line starts with its path; the rest of a batch goes on without it."""
