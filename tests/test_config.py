"""config.toml: one schema for reading, editing, editors and the docs; nothing but the one key ever changes."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachetop.config import SETTINGS, ConfigError, load, writing
from cachetop.config.describing import json_schema
from cachetop.config.places import find, line_of
from cachetop.config.writing import edited, put, reset, toml, without

REPO = Path(__file__).resolve().parent.parent

WRITTEN = """\
# my own file
[app]  # how it looks
# bright rooms
theme = "light"   # until winter
title = false

[keys]
"runs.new" = [
    "n",  # as always
    "ctrl+n",
]
list.find = "'"

[[prune.policy]]
what = "models"
older-than = "90d"
[[prune.policy]]
what = "kernels"  # stale ones
stale = true
"""


def test_a_value_is_changed_where_it_stands() -> None:
    new = edited(WRITTEN, "app", "theme", "dark")
    assert new == WRITTEN.replace('"light"', '"dark"')
    new = edited(WRITTEN, "keys", "runs.new", ["N"])
    assert '"runs.new" = ["N"]\nlist.find' in new
    assert 'list.find = ["f"]' in edited(WRITTEN, "keys", "list.find", ["f"])


def test_a_new_key_comes_to_the_end_of_its_section() -> None:
    assert "title = false\nbell = false\n\n[keys]" in edited(WRITTEN, "app", "bell", False)
    assert edited("", "app", "bell", False) == "[app]\nbell = false\n"
    assert edited("# mine", "prune", "undo", "1h") == '# mine\n\n[prune]\nundo = "1h"\n'
    assert edited("[app]", "app", "bell", True) == "[app]\nbell = true\n"


def test_a_reset_leaves_the_line_as_a_comment() -> None:
    new = without(WRITTEN, "app", "theme")
    assert '# theme = "light"   # until winter\n' in new
    assert '# "runs.new" = [\n#     "n",  # as always\n#     "ctrl+n",\n# ]\n' in without(WRITTEN, "keys", "runs.new")
    assert without(WRITTEN, "app", "bell") == WRITTEN
    assert "# list.find" in without(WRITTEN, "keys", "list.find")


@pytest.mark.parametrize(
    "text", ['app = { theme = "light" }\n', 'app.theme = "light"\n', '[app]\r\ntheme = "light"\r\n']
)
def test_what_is_written_otherwise_is_changed_or_said_to_be_by_hand(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(text.encode())
    try:
        put(file, "app", "theme", "dark")
    except ConfigError as error:
        assert "by hand" in str(error) and 'theme = "dark"' in str(error)
        assert file.read_bytes() == text.encode()
    else:
        assert load(file).app["theme"] == "dark"
        assert file.read_bytes() == text.replace("light", "dark").encode()


KEYS = st.sampled_from(["theme", "bell", "title", "undo", "x y", "ä"])
VALUES = st.one_of(st.booleans(), st.text(max_size=12), st.lists(st.text(max_size=6), max_size=3))
TABLES = st.dictionaries(st.sampled_from(["app", "prune", "keys", "other"]), st.dictionaries(KEYS, VALUES, max_size=4))
COMMENTS = st.sampled_from(["", '  # why = "not"', "# [app]"])


@settings(max_examples=150)
@given(TABLES, COMMENTS, KEYS, VALUES)
def test_any_file_reads_as_before_with_one_key_changed(
    tables: dict[str, dict[str, Any]], comment: str, key: str, value: Any
) -> None:
    text = "".join(
        f"[{name}]\n" + "".join(f"{toml(k)} = {toml(v)} {comment}\n" for k, v in table.items()) + f"{comment}\n"
        for name, table in tables.items()
    )
    new = edited(text, "app", key, value)
    wanted = {**tables, "app": {**tables.get("app", {}), key: value}}
    assert tomllib.loads(new) == wanted
    gone = str(tables.get("app", {}).get(key, "")).count("#")  # in the value that was replaced, which is no comment
    assert new.count("#") >= text.count("#") - gone
    back = tomllib.loads(without(new, "app", key))
    del wanted["app"][key]
    assert {name: table for name, table in back.items() if table} == {n: table for n, table in wanted.items() if table}
    place = find(new, ("app", key))
    assert place is not None and line_of(new, ("app", key)) == new[: place.start].count("\n") + 1


def test_writing_keeps_mode_and_link_and_makes_the_folder(tmp_path: Path) -> None:
    real, link = tmp_path / "dotfiles" / "c.toml", tmp_path / "config.toml"
    real.parent.mkdir()
    real.write_text("[app]\n")
    real.chmod(0o640)
    link.symlink_to(real)
    put(link, "app", "bell", False)
    assert link.is_symlink() and load(link).app["bell"] is False and real.stat().st_mode & 0o777 == 0o640
    reset(link, "app", "bell")
    assert real.read_text() == "[app]\n# bell = false\n"
    put(tmp_path / "new" / "config.toml", "prune", "undo", "1h")
    assert load(tmp_path / "new" / "config.toml").undo == 3600
    assert os.listdir(real.parent) == ["c.toml"]


def test_a_file_that_is_not_toml_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[app\n")
    with pytest.raises(ConfigError, match="is not TOML"):
        put(file, "app", "bell", False)
    assert file.read_text() == "[app\n"


WRONG = [
    ("[keys]\ntheme = 't'\n\n[app]\ntheem = 'dark'\n", "line 5: app.'theem' is no key; did you mean app.theme?"),
    ("[keys]\ntheme = 't'\n[app]\nbell = true\ntheme = 'darc'\n", "line 5: app.theme must be one of"),
    ("[app]\ntheme = 'darc'\n", "did you mean dark?"),
    ("[app]\nbell = 'no'\n", "line 2: app.bell must be true or false"),
    ("[ap]\n", "line 1: 'ap' is no key; did you mean app?"),
    ("app = 1\n", "line 1: app must be a table"),
    ("[convert]\n\nvram-budget = '8 elephants'\n", "line 3: convert.vram-budget cannot be used: '8 elephants'"),
    ('[prune]\nkeep = """\nx"""\n', "line 2: prune.keep must be a list of texts"),
    ("[[prune.policy]]\nwhat = 'models'\ndetached = true\n[[prune.policy]]\nwhat = 'models'\ndetach = true\n",
     "line 6: prune.policy.'detach' is no key; did you mean prune.policy.detached?"),
    ("[keys]\nruns.new = 3\n", "line 2: keys.new must be a key or a list of keys"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_an_error_names_the_line_and_the_nearest_name(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(file)
    assert said in str(error.value) and str(error.value).startswith(str(file))


def test_the_json_schema_says_the_same_as_the_reader(tmp_path: Path) -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    file = tmp_path / "config.toml"
    good = [WRITTEN, "", '[prune]\nundo = "0s"\nkeep = ["a/*"]\n[convert]\nvram-budget = "8GB"\n']
    for text in (*good, *(text for text, _ in WRONG)):
        file.write_text(text)
        try:
            load(file)
        except ConfigError:
            read = False
        else:
            read = True
        assert check.is_valid(tomllib.loads(text)) is read, text


def test_every_setting_has_help_and_a_default_that_it_allows() -> None:
    for section, table in SETTINGS.items():
        for name, setting in table.items():
            assert setting.help, name
            assert setting.default is None or setting.check(setting.default) == "", (section, name)


def test_the_docs_and_the_schema_are_what_the_program_says() -> None:
    for name, text in runpy.run_path(str(REPO / "docs" / "write.py"))["pages"]().items():
        assert (REPO / "docs" / name).read_text(encoding="utf-8") == text, f"{name} is old: run `python docs/write.py`"


def test_the_verb_shows_checks_and_prints_the_schema(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[app]\ntheme = "dark"\n')

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "CACHETOP_CONFIG": str(file)}
        command = [sys.executable, "-m", "cachetop", "config", *words]
        return subprocess.run(command, env=env, text=True, capture_output=True, check=False)

    done = run()
    assert done.returncode == 0 and '\napp.theme = "dark"\n' in done.stdout and "\n# app.bell = true\n" in done.stdout
    told = json.loads(run("--json").stdout)
    assert told["schema"] == "cachetop.config/1" and told["settings"]["app.theme"]["from_file"] is True
    assert json.loads(run("schema").stdout) == json_schema()
    assert run("path").stdout == f"{file}\n"
    file.write_text("[app]\nthem = 1\n")
    done = run()
    assert done.returncode == 2 and "line 2" in done.stderr


def test_the_mark_and_the_line_ends_of_a_file_from_windows_stay(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xef\xbb\xbf# mine\r\n[app]\r\nbell = true  # please\r\n")
    writing.put(file, "app", "theme", "dark")
    writing.put(file, "prune", "undo", "1h")
    assert file.read_bytes() == (
        b'\xef\xbb\xbf# mine\r\n[app]\r\nbell = true  # please\r\ntheme = "dark"\r\n\r\n[prune]\r\nundo = "1h"\r\n'
    )
    assert load(file).app["theme"] == "dark"


def test_what_another_program_writes_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[app]\nbell = true\n")
    usual, seen = writing.edited, list[str]()

    def late(text: str, section: str, key: str, value: object) -> str:
        new = usual(text, section, key, value)
        if not seen:
            file.write_text("[app]\nbell = true\n# theirs\ntitle = false\n")
        seen.append(text)
        return new

    monkeypatch.setattr(writing, "edited", late)
    writing.put(file, "app", "theme", "dark")
    assert file.read_text() == '[app]\nbell = true\n# theirs\ntitle = false\ntheme = "dark"\n' and len(seen) == 2


def test_a_file_that_is_read_only_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[app]\nbell = true\n")
    file.chmod(0o444)
    with pytest.raises(PermissionError, match="Permission denied"):
        writing.put(file, "app", "bell", False)
    assert file.read_text() == "[app]\nbell = true\n" and list(tmp_path.iterdir()) == [file]
