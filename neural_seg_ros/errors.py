"""Errors of input from outside; their messages name the field, the given value and the accepted ones."""

from __future__ import annotations


def short(text: str, most: int = 80) -> str:
    """Quote a text from outside for an error: one line of bounded length."""
    return repr(text if len(text) <= most else text[:most] + "...")


def one_line(error: BaseException) -> str:
    """Return the message of an error in one line; its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


class NeuralSegError(ValueError):
    """Base of every error a user can cause; the command line prints it as one line and exits with 2."""


class ImageError(NeuralSegError):
    """An image has a wrong dtype, shape, size or encoding."""


class CameraInfoError(NeuralSegError):
    """A camera's calibration is missing, or does not belong to its images."""


class AnnotationError(NeuralSegError):
    """An annotation lies outside the frame, is empty, or names a class that is not accepted."""


class ConfigError(NeuralSegError):
    """A configuration field is unknown, has the wrong type, or is out of range."""


class SessionError(NeuralSegError):
    """A session was driven in an order it cannot follow, for example annotated before it observed a frame."""


class SessionFileError(NeuralSegError):
    """A session file is missing, damaged, or written by a newer version."""


class SourceError(NeuralSegError):
    """A video, image folder, annotation file, bag or data set cannot be read."""


def error_text(error: BaseException) -> str:
    """Return the message of an error made for users; of any other error, its type too."""
    return str(error) if isinstance(error, NeuralSegError) else f"{type(error).__name__}: {error}"
