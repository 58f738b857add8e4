"""Crystals for the tests of moves. Imported late: jaxtyping cannot check what a conftest has imported."""

import pytest


@pytest.fixture(scope="module")
def alloy():
    from move_crystals import alloy

    return alloy()


@pytest.fixture(scope="module")
def quaternary():
    from move_crystals import quaternary

    return quaternary()


@pytest.fixture(scope="module")
def oxide():
    from move_crystals import oxide

    return oxide()


@pytest.fixture(scope="module")
def tiny():
    from move_crystals import tiny

    return tiny()
