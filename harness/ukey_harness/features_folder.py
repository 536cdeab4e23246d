"""Where the feature files are: packaged with the harness, or in the checkout's root."""

from pathlib import Path


def features_folder() -> Path:
    """Return the folder of the feature files; FileNotFoundError names where it was looked for."""
    packaged = Path(__file__).parent / "features"
    checkout = Path(__file__).parents[2] / "features"
    for folder in (packaged, checkout):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"no feature files in {packaged} nor {checkout}: install ukeylab anew")


def suite_names() -> list[str]:
    """Return the names of the suites: the folders with feature files."""
    return sorted({file.parent.name for file in features_folder().glob("*/*.feature")})
