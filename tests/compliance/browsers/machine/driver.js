// Runs in Firefox's own process, beside a policy that it does not touch: opens pages and says what Firefox believes.
// It is an AutoConfig file (whose first line is never read). Commands are files `command-N` in FOLDER, answers
// `answer-N`, both JSON.
const FOLDER = "@FOLDER@";
Components.classes["@mozilla.org/security/x509certdb;1"].getService(Components.interfaces.nsIX509CertDB)
  .addCertFromBase64("@AUTHORITY@", "C,,");
Services.obs.addObserver(listen, "browser-delayed-startup-finished");

function listen() {
Services.obs.removeObserver(listen, "browser-delayed-startup-finished");
const { AddonManager } = ChromeUtils.importESModule("resource://gre/modules/AddonManager.sys.mjs");
const { setTimeout } = ChromeUtils.importESModule("resource://gre/modules/Timer.sys.mjs");
const { IOUtils } = Components.utils.getGlobalForObject(Services);
const pause = span => new Promise(done => setTimeout(done, span));
const browserWindow = () => Services.wm.getMostRecentWindow("navigator:browser");

function open(url) {
  const window = browserWindow();
  const tab = window.gBrowser.addTab("about:blank", {
    triggeringPrincipal: Services.scriptSecurityManager.getSystemPrincipal(), inBackground: false });
  const page = tab.linkedBrowser;
  page.fixupAndLoadURIString(url, { triggeringPrincipal: Services.scriptSecurityManager.getSystemPrincipal() });
  return tab;
}

// What becomes of an address that somebody types: the page that is shown in the end, and whether it is an error page.
async function look(url) {
  const tab = open(url), page = tab.linkedBrowser;
  for (let turn = 0; turn < 60; turn++) {
    await pause(50);
    const there = page.documentURI && page.documentURI.spec;
    if (there && there != "about:blank" && !page.webProgress.isLoadingDocument) break;
  }
  const found = { shown: page.documentURI ? page.documentURI.spec : "", title: page.contentTitle };
  browserWindow().gBrowser.removeTab(tab);
  return found;
}

// Types into the page in the foreground as a keyboard does: what a script fills in, a browser does not offer to keep.
async function type({ words }) {
  const window = browserWindow();
  const keys = Components.classes["@mozilla.org/text-input-processor;1"]
    .createInstance(Components.interfaces.nsITextInputProcessor);
  keys.beginInputTransactionForTests(window, () => true);
  const press = (key, keyCode = 0) => {
    const event = new window.KeyboardEvent("", { key, keyCode });
    keys.keydown(event); keys.keyup(event);
  };
  window.gBrowser.selectedBrowser.focus();
  await pause(50);
  for (const [place, word] of words.entries()) {
    if (place) press("Tab", 9);
    await pause(30);
    for (const sign of word) press(sign);
  }
  press("Enter", 13);
  return true;
}

function prefs(names) {
  const found = {}, own = Services.prefs;
  for (const name of names.length ? names : own.getChildList("")) {
    if (!names.length && !own.prefIsLocked(name)) continue;
    const kind = own.getPrefType(name);
    let value = null;
    try {
      value = kind == own.PREF_BOOL ? own.getBoolPref(name) : kind == own.PREF_INT ? own.getIntPref(name)
        : kind == own.PREF_STRING ? own.getStringPref(name) : null;
    } catch (e) {}
    found[name] = { value, locked: own.prefIsLocked(name) };
  }
  return found;
}

async function search() {
  const { SearchService } = ChromeUtils.importESModule("moz-src:///toolkit/components/search/SearchService.sys.mjs");
  await SearchService.init();
  const said = engine => ({ name: engine.name, url: engine.getSubmission("WORD").uri.spec });
  return { normal: said(await SearchService.getDefault()), private: said(await SearchService.getDefaultPrivate()) };
}

async function bookmarks() {
  const { PlacesUtils } = ChromeUtils.importESModule("resource://gre/modules/PlacesUtils.sys.mjs");
  const found = [];
  const walk = node => { if (node.uri) found.push({ title: node.title, url: node.uri }); (node.children || []).forEach(walk); };
  const managed = browserWindow().document.getElementById("managed-bookmarks");
  if (managed && !managed.hidden) {
    browserWindow().PlacesToolbarHelper.populateManagedBookmarks(managed.menupopup);
    for (const item of managed.menupopup.querySelectorAll("menuitem"))
      if (item.link) found.push({ title: item.label, url: item.link });
  }
  for (const root of [PlacesUtils.bookmarks.toolbarGuid, PlacesUtils.bookmarks.menuGuid])
    walk(await PlacesUtils.promiseBookmarksTree(root));
  return found;
}

async function state() {
  const { PolicyFailures } = ChromeUtils.importESModule("resource://gre/modules/PoliciesHelpers.sys.mjs");
  const quietly = async what => { try { return await what(); } catch (e) { return { failed: String(e) }; } };
  const window = browserWindow();
  return {
    version: Services.appinfo.version,
    status: Services.policies.status,
    active: Services.policies.getActivePolicies() || {},
    errors: await quietly(() => PolicyFailures.getAll()),
    locked: prefs([]),
    addons: (await AddonManager.getAllAddons()).filter(one => !one.isBuiltin && !one.isSystem)
      .map(one => ({ id: one.id, active: one.isActive, type: one.type })),
    allowed: Object.fromEntries(["devtools", "xpinstall", "installTemporaryAddon", "profileManagement", "safeMode",
      "profileImport"].map(name => [name, Services.policies.isAllowed(name)])),
    mayAdd: Services.policies.mayInstallAddon({ id: "watcher@reading-room.example", type: "extension" }),
    search: await quietly(search),
    bookmarks: await quietly(bookmarks),
    private: window.PrivateBrowsingUtils.isWindowPrivate(window),
    prompts: window.PopupNotifications._currentNotifications.map(one => one.id),
    forms: await quietly(async () => {
      const { FormHistory } = ChromeUtils.importESModule("resource://gre/modules/FormHistory.sys.mjs");
      return (await FormHistory.search(["value"], {})).length; }),
    offers: Services.logins.getLoginSavingEnabled("https://example.com"),
  };
}

// The offer to keep a password, and the note of what was typed, come a moment after the form is sent.
async function settled() {
  let found;
  for (let turn = 0; turn < 15; turn++) {
    found = await state();
    if (found.prompts.length && found.forms) break;
    await pause(100);
  }
  return found;
}

async function tools() {
  const { DevToolsShim } = ChromeUtils.importESModule("chrome://devtools-startup/content/DevToolsShim.sys.mjs");
  const key = browserWindow().document.getElementById("key_toggleToolbox");
  return { shortcut: !!key, available: DevToolsShim.isEnabled ? DevToolsShim.isEnabled() : null };
}

const COMMANDS = {
  pages: async () => browserWindow().gBrowser.browsers.map(page => page.currentURI.spec),
  open: async ({ url }) => { open(url); return true; },
  look: async ({ urls }) => { const found = {}; for (const url of urls) found[url] = await look(url); return found; },
  state, settled, tools, type,
  prefs: async ({ names }) => prefs(names),
  quit: async () => { setTimeout(() => Services.startup.quit(Components.interfaces.nsIAppStartup.eAttemptQuit), 50); return true; },
};

// One after the other: were a second look begun while the first still waits, a command would be done twice.
async function obey() {
  for (let turn = 0; ; turn++) {
    while (!(await IOUtils.exists(`${FOLDER}/command-${turn}`))) await pause(50);
    let answer;
    try {
      const asked = JSON.parse(await IOUtils.readUTF8(`${FOLDER}/command-${turn}`));
      answer = { said: await COMMANDS[asked.do](asked) };
    } catch (e) { answer = { failed: `${e} ${e && e.stack}` }; }
    await IOUtils.writeUTF8(`${FOLDER}/answer-${turn}`, JSON.stringify(answer), { tmpPath: `${FOLDER}/answer.part` });
  }
}
obey();
}
