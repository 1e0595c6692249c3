"""Starts Chromium and, where its policy lets us, drives it over the DevTools protocol on a pipe. Must not know promises."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import ground

PROGRAM = "/usr/bin/chromium"
POLICIES = "/etc/chromium/policies"
FLAGS = "/etc/chromium.d"
PACKAGED = {"README", "apikeys", "default-flags", "dev-shm", "extensions"}


def installed() -> bool:
    return os.path.exists(PROGRAM)


def unlock() -> None:
    """Take every policy away: Chromium as it is found."""
    for place in ("/etc/chromium", FLAGS):
        if os.path.isdir(place):
            ground.private(place)
    if os.path.isdir(POLICIES):
        ground.forget(POLICIES)
    for name in os.listdir(FLAGS) if os.path.isdir(FLAGS) else ():
        if name not in PACKAGED:
            ground.forget(f"{FLAGS}/{name}")


def managed() -> dict[str, dict[str, Any]]:
    """What the files of the machine's policy say, by file, in the order in which Chromium reads them."""
    folder = Path(f"{POLICIES}/managed")
    files = sorted(folder.glob("*.json")) if folder.is_dir() else []
    return {file.name: json.loads(file.read_text()) for file in files}


def without(keys: tuple[str, ...], allow: tuple[str, ...] = ()) -> list[str]:
    """Take exactly these keys out of the policy, in a private copy; returns those that were there."""
    files = managed()
    if not files:
        return []
    for place in ("/etc/chromium", POLICIES, f"{POLICIES}/managed"):
        ground.private(place)
    taken = []
    for name, policy in files.items():
        taken += [key for key in keys if key in policy]
        kept = {key: value for key, value in policy.items() if key not in keys}
        ground.replace(f"{POLICIES}/managed/{name}", json.dumps(kept))
    return taken


class Chromium:
    """One run of Chromium as the account."""

    def __init__(self, seat: Any, preferences: dict[str, Any], *urls: str, side_load: bool = False) -> None:
        """`preferences` is what the account wrote into its own profile; `side_load` brings an extension along."""
        self.seat = seat
        self.profile = f"{seat.home}/.config/chromium-play"
        place = Path(f"{self.profile}/Default/Preferences")
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps(preferences))
        seat.own(f"{seat.home}/.config")
        extension = _side_load(seat) if side_load else []
        command = [
            PROGRAM, "--headless", "--disable-gpu", "--no-first-run", "--password-store=basic",
            f"--user-data-dir={self.profile}", f"--ignore-certificate-errors-spki-list={seat.internet.key_digest()}",
            *extension, "--remote-debugging-pipe", *urls,
        ]  # fmt: skip
        theirs, ours = os.pipe()
        mine, their = os.pipe()
        script = f'exec "$@" 3<&{theirs} 4>&{their} {theirs}<&- {their}>&-'
        self.process = seat.start(["/bin/bash", "-c", script, "chromium", *command], pass_fds=(theirs, their))
        os.close(theirs)
        os.close(their)
        self._to, self._from = ours, mine
        self._answers: dict[int, Any] = {}
        self._events: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._turn = 0
        self._session = ""
        self.ended = False
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        heard = b""
        while chunk := os.read(self._from, 1 << 16):
            heard += chunk
            *whole, heard = heard.split(b"\0")
            with self._changed:
                for text in whole:
                    message = json.loads(text)
                    if "id" in message:
                        self._answers[message["id"]] = message
                    else:
                        self._events.append(message)
                self._changed.notify_all()
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def call(self, method: str, session: str | None = None, within: float = 15, **params: Any) -> Any:
        """One command of the DevTools protocol; raises `TimeoutError` where nobody listens, `RuntimeError`."""
        self._turn += 1
        number = self._turn
        message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        try:
            os.write(self._to, json.dumps(message).encode() + b"\0")
        except OSError:
            raise TimeoutError("nobody listens for commands") from None
        with self._changed:
            self._changed.wait_for(lambda: number in self._answers or self.ended, within)
            answer = self._answers.get(number)
        if answer is None:
            raise TimeoutError(f"no answer to {method}")
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def tab(self, url: str) -> str:
        """Go to an address in the tab that is there (a policy may forbid another one of our making); its session."""
        if not self._session:
            target = next(one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page")
            self._session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
            self.call("Page.enable", self._session)
        self.call("Page.navigate", self._session, url=url)
        return self._session

    def evaluate(self, session: str, expression: str) -> Any:
        """What a page says."""
        said = self.call("Runtime.evaluate", session, expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in said:
            raise RuntimeError(json.dumps(said["exceptionDetails"])[:500])
        return said["result"].get("value")

    def answers(self) -> bool:
        """Does it take commands?"""
        try:
            return bool(self.call("Browser.getVersion", within=1))
        except TimeoutError:
            return False

    def pages(self) -> list[str]:
        """The addresses of the tabs that are open."""
        found = self.call("Target.getTargets")["targetInfos"]
        return [one["url"] for one in found if one["type"] == "page"]

    def look(self, url: str) -> dict[str, str]:
        """What becomes of an address that somebody types: what is shown in the end."""
        session = self.tab(url)
        for _ in range(300):
            if self.evaluate(session, "document.readyState == 'complete' && location.href != 'about:blank'"):
                break
            time.sleep(0.05)
        return self.evaluate(session, "({shown: location.href, title: document.title})")

    def type(self, session: str, words: list[str]) -> None:
        """Type as a keyboard does, a field each, and send the form."""
        self.call("Page.bringToFront", session)
        for place, word in enumerate(words):
            if place:
                self._press(session, "Tab", 9)
            for sign in word:
                self.call("Input.dispatchKeyEvent", session, type="char", text=sign)
        self._press(session, "Enter", 13, text="\r")

    def _press(self, session: str, key: str, code: int, **more: Any) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", session, type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more
            )

    def policy(self) -> dict[str, Any]:
        """What Chromium says of each policy, and the names that it knows at all (`chrome://policy`)."""
        session = self.tab("chrome://policy/")
        for _ in range(60):
            try:
                return json.loads(self.evaluate(session, _POLICY))
            except RuntimeError:
                time.sleep(0.05)  # the page is on its way
        return {"failed": self.evaluate(session, "location.href + document.body.innerText.slice(0, 200)")}

    def quit(self) -> None:
        """Close it as the end of a session does."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def close(self) -> None:
        """Close its last window as a person does: it writes to the disk what it has in hand, cookies among it."""
        with suppress(TimeoutError):  # it may be gone before it answers
            self.call("Browser.close")
        self.process.wait(30)

    def kill(self) -> None:
        """End every process of it at once."""
        self.seat.kill_all()
        self.process.wait()


_POLICY = """(async () => {
  const {addWebUiListener} = await import("chrome://resources/js/cr.js");
  const said = await new Promise((done, failed) => {
    addWebUiListener("policies-updated", (names, values) => done({names, values}));
    setTimeout(() => failed(new Error("no answer")), 4000);
    chrome.send("listenPoliciesUpdates");
  });
  return JSON.stringify({
    known: said.names.chrome.policyNames, set: said.values.policyGroups.chrome.policies});
})()"""


def _side_load(seat: Any) -> list[str]:
    """An extension as a program brings it along that wants to watch; once it runs, the tracker hears of it."""
    place = f"{seat.work}/watcher"
    os.makedirs(place, exist_ok=True)
    address = f"https://{seat.internet.names['tracker']}/watcher"
    Path(f"{place}/manifest.json").write_text(json.dumps({
        "manifest_version": 3, "name": "watcher", "version": "1", "host_permissions": ["<all_urls>"],
        "background": {"service_worker": "watch.js"},
    }))  # fmt: skip
    Path(f"{place}/watch.js").write_text(f"fetch({json.dumps(address)}, {{mode: 'no-cors'}});")
    seat.own(place)
    return [f"--load-extension={place}", "--disable-features=DisableLoadExtensionCommandLineSwitch"]
