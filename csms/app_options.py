"""From the settings to what the rooms want to be told."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from csms.ocpp.options import OcppOptions
from csms.ocpp.tls import KeyPair
from csms.settings import Settings, SettingsError
from csms.stations.authority_store import AuthoritySettings
from csms.stations.certificate import read_chain
from csms.stations.contract_certificates import ContractOptions
from csms.terminals.mail import MailOptions
from csms.terminals.onboarding import OnboardingOptions
from csms.terminals.processors import Platform, Processors, Reachable
from csms.terminals.vault import Vault


def processors(settings: Settings, engine: AsyncEngine) -> Processors:
    """Owners' own processors, with the vault that their credentials are in."""
    payter = settings.payter
    return Processors(
        engine,
        Vault([key.get_secret_value() for key in settings.vault.keys]),
        Reachable(hosts=settings.processors.hosts, loopback=settings.processors.loopback),
        Platform(domain=payter.domain if payter else "platform", has_processor=bool(payter and payter.base_url)),
    )


def onboarding_options(settings: Settings) -> OnboardingOptions:
    """Onboarding's options."""
    o = settings.onboarding
    return OnboardingOptions(
        test_amount=o.test_amount,
        card_wait=timedelta(seconds=o.card_wait_s),
        checks_valid=timedelta(hours=o.checks_valid_h),
        test_valid=timedelta(hours=o.test_valid_h),
        max_attachment_bytes=o.max_attachment_bytes,
        max_import_rows=o.max_import_rows,
    )


def ocpp_options(settings: Settings) -> OcppOptions:
    """The OCPP shell's options."""
    o = settings.ocpp
    return OcppOptions(
        host=o.host,
        plain=o.plain,
        port=o.port,
        tls_port=o.tls.port if o.tls else None,
        mutual_tls_port=o.mutual_tls.port if o.mutual_tls else None,
        certificates=tuple(
            KeyPair(
                certificate=c.certificate,
                key=c.key,
                password=c.key_password.get_secret_value() if c.key_password else None,
            )
            for c in o.certificates
        ),
        trusted=o.mutual_tls.trusted if o.mutual_tls else (),
        organisation=o.mutual_tls.organisation if o.mutual_tls else "",
        signing_organisation=settings.authority.organisation if settings.authority else None,
        ocsp_private=settings.authority.ocsp_private if settings.authority else False,
        contracts=contract_options(settings),
        path=o.path,
        unknown_stations=o.unknown_stations,
        call_timeout_s=o.call_timeout_s,
        ping_interval_s=o.ping_interval_s,
        ping_timeout_s=o.ping_timeout_s,
        max_frame_bytes=o.max_frame_bytes,
        messages_per_s=o.messages_per_s,
        heartbeat_interval_s=o.heartbeat_interval_s,
    )


def contract_options(settings: Settings) -> ContractOptions:
    """Contract certificates' options. Raises `SettingsError` for roots that cannot be read."""
    c = settings.contracts
    try:
        roots = tuple(one for path in c.roots for one in read_chain(path.read_text(encoding="ascii")))
    except (OSError, ValueError) as error:
        raise SettingsError(f"contracts.roots: {error}") from error
    return ContractOptions(
        roots=roots,
        provider_url=c.provider_url,
        provider_token=c.provider_token.get_secret_value() if c.provider_token else "",
        allow_private=c.ocsp_private,
    )


def mail_options(settings: Settings) -> MailOptions | None:
    """The mail server's, where there is one. Raises `SettingsError` for a CA file that cannot be read."""
    if settings.mail is None:
        return None
    try:
        return settings.mail.options()
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(f"mail.ca_file: cannot be read as PEM certificates ({type(error).__name__}).") from error


def authority_settings(settings: Settings) -> AuthoritySettings | None:
    """The authority's, where there is one."""
    a = settings.authority
    if a is None:
        return None
    return AuthoritySettings(
        passphrase=a.passphrase.get_secret_value(),
        organisation=a.organisation,
        key=a.key,
        valid_days=a.valid_days,
        renew_days=a.renew_days,
    )
