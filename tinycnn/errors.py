"""What a wrong file, folder or setting gets: one line that names it and says what is wrong."""


class InputError(ValueError):
    """Something the user handed in is wrong; the message names it in one line.

    >>> raise InputError("scan.png: not an image")
    Traceback (most recent call last):
    ...
    tinycnn.errors.InputError: scan.png: not an image
    """
