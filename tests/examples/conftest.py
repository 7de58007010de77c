"""Tests with a browser are collected where they are asked for, with `-m browser`: they need Chromium and ffmpeg."""


def pytest_ignore_collect(collection_path, config):
    return True if collection_path.name.endswith("_page.py") and config.option.markexpr != "browser" else None
