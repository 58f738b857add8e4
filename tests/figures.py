"""What is drawn in a figure."""

from typing import Any

import numpy as np


def points(axes, label):
    """Positions of the scattered points or line with this label."""
    for artist in axes.get_children():
        if artist.get_label() == label:
            return artist.get_xydata() if hasattr(artist, "get_xydata") else offsets(artist)
    raise AssertionError(f"nothing is labelled {label}")


def offsets(collection: Any) -> np.ndarray:
    return np.asarray(collection.get_offsets())


def outline(collection: Any) -> np.ndarray:
    return np.asarray(collection.get_paths()[0].vertices)


def legend(axes):
    """Labels of the legend."""
    return [text.get_text() for text in axes.get_legend().get_texts()]


def legend_of_figure(figure):
    """Labels of the legend that stands outside the axes."""
    (found,) = figure.legends
    return [text.get_text() for text in found.get_texts()]


def bars(axes):
    """`[bars, (lower, upper)]` ends of all error bars."""
    segments = [segment for container in axes.containers for segment in container[2][0].get_segments()]
    return np.array(segments)[:, :, 1]


def saved(figure, folder):
    """The bytes of the PNG, which is also where matplotlib warns of what does not fit."""
    figure.savefig(folder / "figure.png", dpi=60)
    return (folder / "figure.png").read_bytes()
