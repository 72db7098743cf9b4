"""Presses every key in real terminals and writes down the bytes that a program in them gets: `terminals.json`.

python tests/support/capture_terminals.py [NAME...]     (all of `WAYS` without a name; Debian: xvfb xdotool xterm kitty
tmux chromium; for `vscode` XTERM_JS names the folder of the npm package @xterm/xterm)

xterm, kitty and tmux are pressed with XTEST in an X server of their own, so the key goes the whole way through the
real program with the settings that it comes with. xterm.js runs in a headless Chromium, whose DevTools press the key.
The program inside asks the terminal for what the app asks for. A key after which nothing comes is not in the file: the
terminal keeps it. What VS Code itself takes before its terminal sees it is not pressed: see `VSCODE_KEEPS`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("terminals.json")
DISPLAY = ":77"
READY = b"ready\n"
MODIFIER = re.compile(rb"\x1b\[574(?:4[1-9]|5[0-4])(?:;\d+)?u")
"""kitty's protocol says a modifier key, too, before the key that is pressed with it."""
QUIET = 0.12
"""Seconds without a byte after which a key is taken to have sent all it sends."""
SIGNS = {
    "slash": "/", "colon": ":", "comma": ",", "question_mark": "?", "apostrophe": "'", "minus": "-",
    "greater_than_sign": ">", "less_than_sign": "<", "left_square_bracket": "[", "right_square_bracket": "]",
    "full_stop": ".", "semicolon": ";", "equals_sign": "=", "plus": "+", "backslash": "\\", "grave_accent": "`",
    "exclamation_mark": "!", "at": "@", "number_sign": "#", "dollar_sign": "$", "percent_sign": "%",
    "circumflex_accent": "^", "ampersand": "&", "asterisk": "*", "left_parenthesis": "(", "right_parenthesis": ")",
    "underscore": "_", "vertical_line": "|", "tilde": "~", "quotation_mark": '"',
}  # fmt: skip
X_NAMES = {
    "slash": "slash", "colon": "colon", "comma": "comma", "question_mark": "question", "apostrophe": "apostrophe",
    "minus": "minus", "greater_than_sign": "greater", "less_than_sign": "less", "left_square_bracket": "bracketleft",
    "right_square_bracket": "bracketright", "full_stop": "period", "semicolon": "semicolon", "equals_sign": "equal",
    "plus": "plus", "backslash": "backslash", "grave_accent": "grave", "exclamation_mark": "exclam", "at": "at",
    "number_sign": "numbersign", "dollar_sign": "dollar", "percent_sign": "percent", "circumflex_accent": "asciicircum",
    "ampersand": "ampersand", "asterisk": "asterisk", "left_parenthesis": "parenleft",
    "right_parenthesis": "parenright", "underscore": "underscore", "vertical_line": "bar", "tilde": "asciitilde",
    "quotation_mark": "quotedbl", "pageup": "Page_Up", "pagedown": "Page_Down", "home": "Home", "end": "End",
    "up": "Up", "down": "Down", "left": "Left", "right": "Right", "delete": "Delete", "insert": "Insert", "tab": "Tab",
    "enter": "Return", "space": "space", "backspace": "BackSpace", "escape": "Escape", "menu": "Menu",
}  # fmt: skip
FUNCTIONAL = (*(f"f{n}" for n in range(1, 13)), "up", "down", "left", "right", "home", "end", "pageup", "pagedown",
              "delete", "insert", "tab", "enter", "space", "backspace", "escape")  # fmt: skip
LETTERS, DIGITS = "abcdefghijklmnopqrstuvwxyz", "0123456789"
CODES = {
    "pageup": 33, "pagedown": 34, "end": 35, "home": 36, "left": 37, "up": 38, "right": 39, "down": 40, "insert": 45,
    "delete": 46, "tab": 9, "enter": 13, "space": 32, "backspace": 8, "escape": 27, "menu": 93,
    "semicolon": 186, "equals_sign": 187, "comma": 188, "minus": 189, "full_stop": 190, "slash": 191,
    "grave_accent": 192, "left_square_bracket": 219, "backslash": 220, "right_square_bracket": 221, "apostrophe": 222,
}  # fmt: skip
"""The key codes that browsers give, of a US keyboard."""
SHIFTED = dict(zip(')!@#$%^&*(:+<_>?~{|}"', "0123456789;=,-./`[\\]'", strict=True))
VSCODE_KEEPS = (
    "ctrl+p", "ctrl+shift+p", "f1",  # quickOpen, showCommands
    "ctrl+j", "ctrl+grave_accent", "ctrl+k", "ctrl+m",  # togglePanel, terminal.toggleTerminal, chords, tab focus mode
    "ctrl+f", "f3", "shift+f3",  # terminal.focusFind, findNext, findPrevious
    "ctrl+g",  # terminal.goToRecentDirectory
    "f5", "shift+f5", "ctrl+shift+f5", "ctrl+f5", "f6", "f10", "f11", "shift+f11",  # debug.*, and f11 full screen
    "shift+f6",  # focusPreviousPart
    "ctrl+pageup", "ctrl+pagedown", "ctrl+tab", "ctrl+shift+tab",  # the editors and terminals beside this one
    "alt+left", "alt+right", "alt+up", "alt+down",  # terminal.focusNextPane and focusPreviousPane
    *(f"ctrl+{n}" for n in range(1, 9)),  # focusFirstEditorGroup and so on
    "ctrl+up", "ctrl+down", "ctrl+i", "ctrl+shift+b", "ctrl+shift+v", "shift+insert", "alt+f1",
    *(f"ctrl+shift+{way}" for way in ("left", "right", "up", "down")),
)  # fmt: skip
"""Keys of its `terminal.integrated.commandsToSkipShell` as it comes, on Linux: DEFAULT_COMMANDS_TO_SKIP_SHELL in
microsoft/vscode src/vs/workbench/contrib/terminal/common/terminal.ts with what terminalContribExports.ts adds, each
with the key its command is registered with. Those that hold only while something else is open are not among them."""


def keys() -> list[str]:
    """Every key that is pressed, by Textual's name for it; those that terminals keep for themselves late."""
    out = [*LETTERS, *LETTERS.upper(), *DIGITS, *SIGNS, *FUNCTIONAL, "menu"]
    out += [f"alt+{letter}" for letter in LETTERS] + [f"alt+shift+{letter}" for letter in LETTERS]
    out += [f"{bits}+{key}" for bits in ("shift", "alt", "ctrl") for key in FUNCTIONAL]
    out += ["shift+f10", *(f"ctrl+{key}" for key in (*LETTERS, *DIGITS, "comma", "slash", "grave_accent", "minus"))]
    out += [f"ctrl+shift+{key}" for key in (*FUNCTIONAL, *LETTERS)]
    return list(dict.fromkeys(out))


def record(log: str) -> None:
    """What runs in the terminal: ask for what the app asks for, and append all that comes to a file."""
    from textual.drivers import linux_driver

    from cachetop_tui import terminal

    flags = (
        linux_driver.KITTY_DISAMBIGUATE_ESCAPE_CODES
        | linux_driver.KITTY_REPORT_ALL_KEYS
        | linux_driver.KITTY_REPORT_ASSOCIATED_TEXT
    )
    tty.setraw(0, termios.TCSANOW)
    os.write(1, f"\x1b[?1049h\x1b[?1004h\x1b[>{flags}u\x1b[?2004h{terminal.opening(os.environ)}".encode())
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    time.sleep(0.5)
    os.write(out, READY)
    while piece := os.read(0, 4096):
        os.write(out, piece)


class Window:
    """A terminal in the X server with the recorder in it."""

    def __init__(self, words: list[str], folder: Path, name: str) -> None:
        self.log, self._words, self._folder = folder / "log", words, folder
        self._slow = 0.7 if name.startswith("tmux") else 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._at = 0
        self.start()

    def start(self) -> None:
        """Open it, anew where it was open."""
        self.stop()
        self.log.unlink(missing_ok=True)
        env = {"PATH": os.environ["PATH"], "HOME": str(self._folder), "DISPLAY": DISPLAY, "LANG": "C.UTF-8",
               "LIBGL_ALWAYS_SOFTWARE": "1",
               "XDG_RUNTIME_DIR": str(self._folder)}  # fmt: skip
        recorder = [sys.executable, __file__, "--record", str(self.log)]
        self._process = subprocess.Popen(
            [*self._words, *recorder], env=env, start_new_session=True, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 30
        while not self.log.exists() or READY not in self.log.read_bytes():
            if time.monotonic() > end:
                raise TimeoutError(f"{self._words[0]} does not come up")
            time.sleep(0.1)
        window = subprocess.run(["xdotool", "search", "--onlyvisible", "--name", ".*"], capture_output=True, text=True)
        subprocess.run(["xdotool", "mousemove", "200", "100", "windowfocus", window.stdout.split()[-1]], check=True)
        time.sleep(0.5)
        self._at = self.log.stat().st_size

    def stop(self) -> None:
        """Close it."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._words[0] != "kitty" and "tmux" in self._words:
            subprocess.run(["tmux", "-L", "capture", "kill-server"], stderr=subprocess.DEVNULL)

    def press(self, key: str) -> bytes:
        """What comes when it is pressed; where nothing comes, make sure that the next one will get through."""
        got = self._pressed(key)
        if not got and not any(self._pressed("a") == self._pressed("a") != b"" for _ in range(2)):
            self.start()
        return got

    def _pressed(self, key: str) -> bytes:
        *bits, last = key.split("+")
        name = X_NAMES.get(last, last.upper() if last[0] == "f" and last[1:].isdigit() else last)
        subprocess.run(["xdotool", "key", "+".join([*bits, name])], check=True)
        time.sleep(self._slow if last == "escape" else 0)  # tmux waits whether Escape is the start of something
        size, since = self._at, time.monotonic()
        while time.monotonic() - since < QUIET:
            now = self.log.stat().st_size if self.log.exists() else size
            if now != size:
                size, since = now, time.monotonic()
            time.sleep(0.01)
        got = self.log.read_bytes()[self._at : size]
        self._at = size
        got = got.replace(b"\x1b[I", b"").replace(b"\x1b[O", b"")  # focus comes and goes with a menu of the terminal
        return got if MODIFIER.sub(b"", got) else b""


class Tab:
    """xterm.js in a tab of a headless Chromium."""

    def __init__(self, folder: Path) -> None:
        from support.notebook_browser import CHROMIUM, Page, free_port

        package = Path(os.environ["XTERM_JS"])
        page = folder / "page.html"
        page.write_text(
            f"<script>{(package / 'lib' / 'xterm.js').read_text()}</script><div id=t></div><script>got = '';"
            "t = new Terminal(); t.open(document.getElementById('t')); t.onData(d => got += d); t.focus()</script>"
        )
        port = free_port()
        self._process = subprocess.Popen(
            [CHROMIUM or "chromium", "--headless=new", "--no-sandbox", f"--remote-debugging-port={port}",
             f"--user-data-dir={folder / 'profile'}", page.as_uri()],
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        import urllib.request

        end, found = time.monotonic() + 30, ""
        while not found:
            if time.monotonic() > end:
                raise TimeoutError("no page")
            time.sleep(0.3)
            with contextlib.suppress(OSError):
                listed = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json"))
                found = next((one["webSocketDebuggerUrl"] for one in listed if one["url"].startswith("file:")), "")
        self._page: Any = Page(found)
        time.sleep(1)

    def stop(self) -> None:
        """Close it."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def press(self, key: str) -> bytes:
        """What the terminal gives to the program in it."""
        if key in VSCODE_KEEPS:
            return b""
        *bits, last = key.split("+")
        char = SIGNS.get(last) or (" " if last == "space" else last if len(last) == 1 else "")
        base = SHIFTED.get(char, char.lower())
        modifiers = {"alt": 1, "ctrl": 2, "shift": 8}
        held = sum(modifiers[bit] for bit in bits) | (8 if char and (char in SHIFTED or char.isupper()) else 0)
        if last[0] == "f" and last[1:].isdigit():
            code = 111 + int(last[1:])
        elif base.isalnum():
            code = ord(base.upper())
        else:
            code = CODES.get(last) or next(CODES[name] for name, sign in SIGNS.items() if sign == base)
        if char.isalpha() and held & 8:
            char = char.upper()
        named = {"space": " ", "pageup": "PageUp", "pagedown": "PageDown", "menu": "ContextMenu"}
        ways = ("up", "down", "left", "right")
        name = char or named.get(last) or (f"Arrow{last.capitalize()}" if last in ways else last.capitalize())
        event: dict[str, Any] = {"modifiers": held, "windowsVirtualKeyCode": code, "key": name}
        text = {"text": char} if char and not held & 3 else {}
        before = self._got()
        self._page.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **event, **text)
        self._page.call("Input.dispatchKeyEvent", type="keyUp", **event)
        return self._got()[len(before) :].encode()

    def _got(self) -> str:
        return str(self._page.call("Runtime.evaluate", expression="got")["result"]["value"])


def version(*words: str) -> str:
    """What a program says of itself."""
    done = subprocess.run(words, capture_output=True, text=True)
    return (done.stdout or done.stderr).strip().split("\n")[-1]


_META = ["-xrm", "XTerm*metaSendsEscape: true"]
_INNER = ["-e", "tmux", "-L", "capture", "-f"]
_KEYS_ON = "set -s extended-keys on\nset -as terminal-features ',xterm*:extkeys'\n"

WAYS: dict[str, tuple[str, Callable[[Path], list[str]]]] = {
    "xterm": ("as it comes", lambda folder: ["xterm", "-e"]),
    "kitty": ("as it comes", lambda folder: ["kitty", "--config", "NONE"]),
    "kitty's protocol": (
        "kitty without its own shortcuts, as other terminals with its protocol",
        lambda folder: ["kitty", "--config", "NONE", "-o", "clear_all_shortcuts=yes"],
    ),
    "tmux": (
        "as it comes, in an xterm where Alt sends Escape, as most terminals do",
        lambda folder: ["xterm", *_META, *_INNER, "/dev/null", "new"],
    ),
    "tmux extended": (
        "with extended-keys on, in the same xterm",
        lambda folder: ["xterm", *_META, *_INNER, str(folder / "tmux.conf"), "new"],
    ),
    "vscode": ("xterm.js, without the keys that VS Code's commandsToSkipShell takes as it comes", lambda folder: []),
}


@contextlib.contextmanager
def opened(name: str) -> Iterator[Window | Tab]:
    """One of the terminals."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "tmux.conf").write_text(_KEYS_ON)
        one = Tab(folder) if name == "vscode" else Window(WAYS[name][1](folder), folder, name)
        try:
            yield one
        finally:
            one.stop()


def captured(name: str) -> dict[str, Any]:
    """How it was pressed, and what each key that arrives sends."""
    says = {"xterm": ("xterm", "-version"), "kitty": ("kitty", "--version"), "tmux": ("tmux", "-V")}
    if name == "vscode":
        package = json.loads((Path(os.environ["XTERM_JS"]) / "package.json").read_text())
        told = f"@xterm/xterm {package['version']}"
    else:
        told = version(*says[name.split("'")[0].split()[0]])
    sent: dict[str, str] = {}
    with opened(name) as one:
        for key in keys():
            got = one.press(key)
            if got:
                sent[key] = got.decode()
    return {"from": f"{told}: {WAYS[name][0]}", "keys": sent}


def main(names: list[str]) -> None:
    """Press everything, and write it down."""
    made = json.loads(FILE.read_text()) if FILE.exists() else {}
    made["how"] = "Written by capture_terminals.py, which presses every key in the real program: not by hand."
    server = subprocess.Popen(["Xvfb", DISPLAY, "-screen", "0", "1000x700x24"], stderr=subprocess.DEVNULL)
    os.environ["DISPLAY"] = DISPLAY
    time.sleep(1)
    try:
        for name in names or WAYS:
            made[name] = captured(name)
            FILE.write_text(json.dumps(made, indent=0, sort_keys=True) + "\n")
            print(name, made[name]["from"], len(made[name]["keys"]), flush=True)  # noqa: T201
    finally:
        server.terminate()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--record"]:
        record(sys.argv[2])
    else:
        missing = [one for one in ("Xvfb", "xdotool", "xterm", "kitty", "tmux") if shutil.which(one) is None]
        sys.exit(f"not installed: {', '.join(missing)}") if missing else main(sys.argv[1:])
