"""Does a browser take the policy as it is written? What it does not know, refuses, or changes, by promise.

A browser that is upgraded may drop a setting without a word; then what it believes differs from what the file says.
The lists here are this check's own: which settings serve which promise, so that a fault is seen at the right one.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any

SETTINGS = {
    "browser.history": (
        "PrivateBrowsingModeAvailability", "SanitizeOnShutdown", "IncognitoModeAvailability", "SavingBrowserHistoryDisabled",
        "ForceEphemeralProfiles", "ClearBrowsingDataOnExitList", "AllowDeletingBrowserHistory", "browser.cache.disk.enable",
        "browser.sessionstore.privacy_level", "browser.sessionstore.resume_from_crash",
    ),
    "browser.saved-secrets": (
        "OfferToSaveLogins", "PasswordManagerEnabled", "DisableFormHistory", "AutofillAddressEnabled",
        "AutofillCreditCardEnabled", "AutofillSettings", "PaymentMethodQueryEnabled", "PrimaryPassword",
        "signon.rememberSignons", "browser.formfill.enable", "PasswordSharingEnabled", "DisablePasswordReveal",
    ),
    "browser.trackers": (
        "Cookies", "EnableTrackingProtection", "BlockThirdPartyCookies", "browser.contentblocking.features.strict",
        "DefaultCookiesSetting",
    ),
    "browser.https": ("HttpsOnlyMode", "HttpAllowlist", "HttpsUpgradesEnabled", "dom.security.https_first",
                      "dom.security.https_only_mode_send_http_background_request"),
    "browser.opt-out-signal": ("privacy.globalprivacycontrol.enabled",),
    "browser.telemetry": (
        "DisableTelemetry", "DisableFirefoxStudies", "DisableRemoteImprovements", "DisableFeedbackCommands",
        "DisableFirefoxAccounts", "DisableAccounts", "FirefoxSuggest", "AIControls", "UserMessaging",
        "MetricsReportingEnabled", "UrlKeyedAnonymizedDataCollectionEnabled", "ChromeVariations", "SyncDisabled",
        "BrowserSignin", "SearchSuggestEnabled", "GeminiSettings", "AIModeSettings", "SearchContentSharingSettings",
        "NetworkPrediction", "NetworkPredictionOptions", "toolkit.telemetry.enabled",
    ),
    "browser.extensions": (
        "ExtensionSettings", "ExtensionInstallBlocklist", "ExtensionInstallAllowlist", "BlockExternalExtensions",
        "InstallAddonsPermission", "ExtensionUpdate",
    ),
    "browser.downloads": (
        "DownloadDirectory", "DefaultDownloadDirectory", "PromptForDownloadLocation", "StartDownloadsInTempDirectory",
    ),
    "browser.search-engine": (
        "SearchEngines", "DefaultSearchProviderEnabled", "DefaultSearchProviderName", "DefaultSearchProviderSearchURL",
        "DefaultSearchProviderKeyword",
    ),
    "browser.permissions": (
        "Permissions", "PopupBlocking", "DefaultGeolocationSetting", "DefaultNotificationsSetting", "DefaultPopupsSetting",
        "AudioCaptureAllowed", "VideoCaptureAllowed",
    ),
    "browser.homepage": (
        "Homepage", "HomepageLocation", "HomepageIsNewTabPage", "RestoreOnStartup", "RestoreOnStartupURLs",
        "NewTabPageLocation", "ManagedBookmarks", "Bookmarks", "NoDefaultBookmarks", "NewTabPage",
    ),
    "browser.captive-portal": ("CaptivePortal", "network.connectivity-service.enabled"),
    "browser.dns": ("DNSOverHTTPS", "DnsOverHttpsMode", "DnsOverHttpsTemplates", "BuiltInDnsClientEnabled"),
}  # fmt: skip
_OWNER = {setting: control for control, settings in SETTINGS.items() for setting in settings}
REST = "browser.settings"
# On its way out, and yet nothing else keeps this Chromium from noting what is typed; the play sees whether it still does.
WANING = {"AutofillAddressEnabled"}
_FAILED = 2  # Services.policies.FAILED


def faults(browser: str, found: dict[str, Any], control: str) -> list[str]:
    """What the browser makes of the settings of one promise, where that is not what the policy says, in plain words."""
    every = _firefox(found) if browser == "firefox" else _chromium(found)
    return [f"the setting {setting} {what}" for setting, what in every if owner(setting) in ("", control)]


def owner(setting: str) -> str:
    """The promise that a setting, even a misspelt one, is meant for; empty for a fault of the policy as a whole.

    >>> owner("HttpsOnlyMod"), owner("Preferences"), owner("")
    ('browser.https', 'browser.settings', '')
    """
    if not setting:
        return ""
    near = difflib.get_close_matches(setting, _OWNER, n=1, cutoff=0.85)
    return _OWNER[near[0]] if near else REST


def _firefox(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    state = found["state"]
    if state["status"] == _FAILED:
        yield "", "file cannot be read by Firefox, which therefore has no policy at all"
        return
    if not found["file"]:
        return
    written = json.loads(found["file"]).get("policies", {})
    for setting in written:
        if setting not in found["known"]:
            yield setting, "is unknown to this Firefox"
    for setting in _refused(state["errors"]):
        yield setting, "is refused by this Firefox"
    for setting in sorted(set(written) & set(found["known"])):
        if setting == "Preferences":
            yield from _preferences(written[setting], state["locked"])
        elif missing := _dropped(written[setting], state["active"].get(setting)):
            yield setting, f"is not taken as it is written ({missing} is dropped)"


def _preferences(written: dict[str, Any], locked: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, wanted in written.items():
        if wanted.get("Status") == "locked" and locked.get(name, {}).get("value") != wanted["Value"]:
            yield name, "is not locked in this Firefox"


def _refused(errors: Any) -> list[str]:
    return sorted(errors) if isinstance(errors, dict) else [str(one.get("name", one)) for one in errors]


def _dropped(written: Any, active: Any, where: str = "") -> str:
    """The first part of what is written that is not in force; empty when all is."""
    if isinstance(written, dict) and isinstance(active, dict):
        for key, value in written.items():
            if part := _dropped(value, active.get(key), f"{where}.{key}".strip(".")):
                return part
        return ""
    if isinstance(written, list) and isinstance(active, list):
        return "" if len(written) == len(active) else where or "a part"
    return "" if written == active else where or "all of it"


def _chromium(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    policy = found["policy"]
    if "failed" in policy:
        return
    known, in_force = set(policy["known"]), policy["set"]
    for written in found["files"].values():
        for setting in written:
            if setting in found["taken"]:
                continue
            if setting not in known:
                yield setting, "is unknown to this Chromium"
            elif setting not in in_force:
                yield setting, "is not in force in this Chromium"
    for setting, said in in_force.items():
        for fault in ("error", "deprecated", "ignored", "future"):
            if said.get(fault) and not (fault == "deprecated" and setting in WANING):
                yield setting, f"is not heeded by this Chromium ({fault})"
                break
