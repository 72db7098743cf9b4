"""Intermediate code in colours: what is an instruction, a register, a type, a number, a comment, line by line."""

from __future__ import annotations

import re
from collections.abc import Iterator

_PTX = re.compile(
    r"(?P<com>//.*)|(?P<str>\"[^\"]*\")|(?P<dir>(?<![\w.%])\.[a-z]\w*)|(?P<var>%[\w.]+|@!?%\w+)"
    r"|(?P<type>(?<=\w)\.(?:[busf]\d+|bf16x?2?|f16x?2?|tf32|pred)\b)|(?P<fn>^\$?\w+:)"
    r"|(?P<key>^\s*(?:@!?%\w+\s+)?[a-z]\w*(?=[\s.;]))|(?P<num>\b(?:0x[0-9a-fA-F]+|0[fd][0-9A-F]{8,16}|\d+)\b)"
)
_MLIR = re.compile(
    r"(?P<com>//.*)|(?P<str>\"[^\"]*\")|(?P<var>%[\w#-]+)|(?P<dir>[#!][A-Za-z_]\w*)|(?P<fn>@[\w.]+)"
    r"|(?P<key>\b(?:tt|ttg|arith|math|scf|cf|gpu|nvvm|ttng|llvm|builtin)\.[\w.]+|\bmodule\b|\bloc\b)"
    r"|(?P<type>\b(?:tensor|i\d+|f\d+|bf16|index|!tt\.ptr)\b)|(?P<num>\b\d+(?:\.\d+)?(?:e[+-]?\d+)?\b)"
)
_LLVM = re.compile(
    r"(?P<com>;.*)|(?P<str>\"[^\"]*\")|(?P<var>%[\w.-]+)|(?P<fn>@[\w.$-]+)|(?P<dir>[!#][\w.]+)"
    r"|(?P<type>\b(?:i\d+|float|double|half|bfloat|ptr|void)\b)|(?P<num>\b\d+\b)"
    r"|(?P<key>^\s*(?:%[\w.]+ = )?(?:define|declare|target|ret|br|call|tail|load|store|add|mul)\b)"
)
_PYTHON = re.compile(
    r"(?P<com>#.*)|(?P<str>'[^']*'|\"[^\"]*\")|(?P<dir>@[\w.]+)|(?P<num>\b\d+(?:\.\d+)?\b)"
    r"|(?P<key>\b(?:import|from|def|class|return|if|else|elif|for|in|while|with|as|None|True|False|and|or|not|async)\b)"
)
_JSON = re.compile(
    r"(?P<var>\"[^\"]*\"(?=\s*:))|(?P<str>\"[^\"]*\")|(?P<num>-?\b\d+(?:\.\d+)?\b)|(?P<key>\b(?:true|false|null)\b)"
)
_SASS = re.compile(
    r"(?P<com>/\*[0-9a-fA-F]{4,}\*/|//.*)|(?P<dir>^\s*\.[\w.]+)|(?P<var>\b(?:U?R|U?P)(?:\d+|Z|T)\b)"
    r"|(?P<key>(?<=\s)[A-Z][A-Z0-9]+(?:\.[A-Z0-9_.]+)*(?=[\s;]))|(?P<num>\b0x[0-9a-fA-F]+\b)|(?P<fn>^\.?L?_?\w+:)"
)
_LANGUAGES = {"ptx": _PTX, "ttir": _MLIR, "ttgir": _MLIR, "source": _MLIR, "llir": _LLVM, "py": _PYTHON,
              "json": _JSON, "best_config": _JSON, "sass": _SASS}  # fmt: skip
_LENGTH_MOST = 600


def coloured(stage: str, text: str) -> Iterator[tuple[str, str]]:
    """`text`, one line of a stage, as (piece, style word) from left to right; together they are the line.

    A line longer than 600 characters, and a stage of no known language, stays in one colour.
    """
    language = _LANGUAGES.get(stage)
    if language is None or len(text) > _LENGTH_MOST:
        yield text, "fg"
        return
    place = 0
    for found in language.finditer(text):
        if found.start() > place:
            yield text[place : found.start()], "fg"
        yield found[0], f"s.{found.lastgroup}"
        place = found.end()
    if place < len(text):
        yield text[place:], "fg"
