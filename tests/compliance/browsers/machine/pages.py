"""The pages of the small internet: a visit that leaves a canary of every kind, and says what the browser allowed.

A canary is the play's word followed by the kind of trace it would be (`…cookie`, `…title`), so whoever finds one knows
where it came from. Must not know browsers or promises.
"""

from __future__ import annotations

from dataclasses import dataclass

LISTED_TRACKER = "trackertest.org"  # every Firefox lists it as a tracker, for tests
KINDS = (
    "host", "path", "title", "cookie", "script", "local", "database", "cache", "icon", "worker", "typed", "password",
    "download", "body", "search", "second", "plain",
)  # fmt: skip


@dataclass(frozen=True)
class Page:
    """What a site answers."""

    body: bytes
    kind: str = "text/html; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


def names(base: str) -> dict[str, str]:
    """The hosts of a play: two sites, a tracker that both embed, and one that knows no https."""
    return {
        "first": f"{base}host.com",
        "second": f"{base}second.net",
        "tracker": f"{base}tracker.org",
        "plain": f"{base}plain.com",
    }


def page(path: str, base: str, after: str = "") -> Page:
    """What is at a path of any host; `after` is where the page goes when it is done."""
    match path:
        case "/visit":
            cookie = ("Set-Cookie", f"{base}cookie=1; Max-Age=9999999; Path=/; Secure")
            return Page(_filled(_HEAD + _THIRD + _VISIT, base, after), headers=(cookie, _KEEP))
        case "/second":
            return Page(_filled(_HEAD + _THIRD + _SECOND, base, after))
        case "/form":
            return Page(_filled(_HEAD + _FORM, base))
        case "/note":
            return Page(_filled(_HEAD + _FORM.replace("<input type=password name=password>", ""), base))
        case "/frame":
            return Page(_FRAME.encode(), headers=(_SEAL,))
        case "/pixel":
            return Page(_PIXEL, "image/gif", (_SEAL, ("Cache-Control", "no-store")))
        case "/icon":
            return Page(_PIXEL + f"{base}icon".encode(), "image/gif", (_KEEP,))
        case "/worker.js":
            return Page(f"/*{base}worker*/ addEventListener('fetch', () => {{}})".encode(), "text/javascript")
        case "/download":
            name = ("Content-Disposition", f'attachment; filename="{base}download.bin"')
            return Page(f"{base}body".encode(), "application/octet-stream", (name,))
    return Page(_filled(_HEAD + "<script>leave();</script>", base, after))


def _filled(text: str, base: str, after: str = "") -> bytes:
    # The script puts its canaries together, since a page that is kept must not look like words that were typed into it.
    marks = {**names(base), "listed": LISTED_TRACKER, "after": after, "base": base, "begin": base[:9], "end": base[9:]}
    for mark, value in marks.items():
        text = text.replace(f"@{mark}@", value)
    return text.encode()


_PIXEL = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
_SEAL = ("Set-Cookie", "seal=1; Max-Age=9999999; Path=/; SameSite=None; Secure")
_KEEP = ("Cache-Control", "public, max-age=99999999, immutable")

_HEAD = """<!doctype html><title>@base@title</title><link rel=icon href="/icon"><body><script>
const word = kind => "@begin@" + "@end@" + kind;
const within = (promise, span) => Promise.race([promise, new Promise(done => setTimeout(() => done("pending"), span))])
  .catch(e => "refused " + (e && (e.name || e.code)));
const leave = () => { if ("@after@") location.href = "@after@"; };
</script>"""

# What a third party can do: it sets cookies and reads them back, in a frame and for a picture.
_THIRD = """<iframe src="https://@tracker@/frame"></iframe><script>
const picture = url => new Promise(done => { const i = new Image(); i.onload = () => done("loaded");
  i.onerror = () => done("refused"); i.src = url; });
const frame = new Promise(done => { onmessage = e => done(e.data); });
async function third() {
  await picture("https://@tracker@/pixel?1"); await picture("https://@tracker@/pixel?2"); return within(frame, 15000);
}
</script>"""
_FRAME = """<!doctype html><script>
const found = {};
try { document.cookie = "script=1; Max-Age=9999999; SameSite=None; Secure"; found.cookie = document.cookie; }
catch (e) { found.cookie = "refused"; }
try { found.storage = localStorage.getItem("seal") || "new"; localStorage.setItem("seal", "seen"); }
catch (e) { found.storage = "refused"; }
parent.postMessage(found, "*");
</script>"""

_SECOND = """<script>
third().then(found => fetch("/second-done", {method: "POST", body: JSON.stringify(found)})).then(leave);
</script>"""

_FORM = """<form method=post action="/sent" id=form><input name=about id=typed autofocus><input type=password name=password>
<button>send</button></form><script>
document.getElementById("typed").focus();
fetch(location.pathname + "-ready", {method: "POST"});
</script>"""

_VISIT = """<script>
const said = {};
const note = (name, promise, span = 10000) => within(promise, span).then(value => { said[name] = value; });
const state = name => navigator.permissions.query({name}).then(found => found.state);
const media = what => navigator.mediaDevices.getUserMedia(what).then(() => "granted");
async function stored() {
  localStorage.setItem(word("local"), word("local"));
  return localStorage.getItem(word("local")) ? "kept" : "lost";
}
function database() { return new Promise((done, failed) => {
  const open = indexedDB.open(word("database"), 1);
  open.onupgradeneeded = () => open.result.createObjectStore("s").put(word("database"), "k");
  open.onsuccess = () => { open.result.close(); done("kept"); };
  open.onerror = () => failed(open.error); }); }
async function cached() {
  const found = await caches.open(word("cache"));
  await found.put("/" + word("cache"), new Response(word("cache"))); return "kept";
}
(async () => {
  document.cookie = word("script") + "=1; max-age=99999999; path=/; Secure";
  said.signal = navigator.globalPrivacyControl;
  await Promise.all([
    note("storage", stored()), note("database", database()), note("cache", cached()),
    note("worker", navigator.serviceWorker ? navigator.serviceWorker.register("/worker.js").then(() => "kept") : 0),
    ...["geolocation", "notifications", "camera", "microphone"].map(name => note(name, state(name))),
    note("place", new Promise(done => navigator.geolocation.getCurrentPosition(() => done("granted"),
      e => done("refused " + e.code))), 1000),
    note("popup", Promise.resolve(window.open("/popup", "_blank") ? "opened" : "refused")),
    note("third", third(), 20000), note("listed", picture("https://@listed@/pixel?listed"), 20000),
  ]);
  history.pushState({}, "", "/" + word("path"));
  said.cookies = document.cookie.split("; ").filter(Boolean).length;
  const link = document.createElement("a"); link.href = "/download"; link.download = "";
  document.body.append(link); link.click();
  await fetch("/report", {method: "POST", body: JSON.stringify(said)});
  leave();
})();
</script>"""
