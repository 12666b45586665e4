"""The application: puts the rooms together, starts them in order, stops them in the other order."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit
from zoneinfo import ZoneInfo

from aiohttp import web

from bridge.bridge import Bridge
from bridge.data_api import DataApi, DataApiCredentials
from bridge.none import NoTerminals
from bridge.options import PayterOptions, retry_delay_s
from bridge.redaction import RedactingAccessLogger, http_log
from csms.app_options import authority_settings, mail_options, ocpp_options, onboarding_options, processors
from csms.nouns import calendars, keepers, steps
from csms.ocpp.certificate_calls import delivery_call, renewal_call
from csms.ocpp.configurator import OcppConfigurator
from csms.ocpp.cost_port import OcppCostPort
from csms.ocpp.credentials import hash_password
from csms.ocpp.doorkeeper import PLAIN
from csms.ocpp.server import OcppServer
from csms.ocpp.station_port import OcppStationPort
from csms.ocpp.tls import TlsError
from csms.payouts.provider_notices import ProviderNoticeDoer, ReconciliationOptions, SendProviderNotice, mail_by
from csms.payouts.reconciliation import ReconcileAccount, ReconciliationDoer
from csms.payouts.statements import CloseStatements, StatementDoer
from csms.payter_settings import PayterSettings
from csms.provision import provision
from csms.settings import Settings, SettingsError
from csms.stations.authority_store import ensure_authority
from csms.stations.calls import CallDoer, CallStation, Waiters
from csms.stations.certificate import CertificateUnusable
from csms.stations.certificate_requests import RenewalDoer, RenewCertificate, SignCertificate, SigningDoer
from csms.stations.configuration import CheckConfiguration, ConfigurationDoer, built_in
from csms.stations.cost_display import CostDisplayDoer, FindCostDisplay, ShowCost, ShowFinalCost, ShowPrice
from csms.stations.file_store import FileStore
from csms.stations.frame_log import FrameLog
from csms.stations.history import close_what_a_crash_left
from csms.stations.passwords import PasswordDoer, RotatePassword
from csms.terminals.alarms import AlarmDoer, WatchForAlarms
from csms.terminals.mail import MailDoer
from csms.terminals.notice_clock import NoticeDoer, RemindOfNotice
from csms.terminals.onboarding_checks import CheckCase, CheckDoer, Checks
from csms.terminals.processors import reseal
from csms.terminals.reminders import SendReminder
from csms.terminals.rounds import MakeRound, RoundDoer, RoundTimes
from csms.terminals.trial import ArmTrial, AwaitTrialCard, HoldTrial, LookUpTrial, ReleaseTrial, TrialCallbacks
from csms.terminals.trial_doers import TrialDoers
from csms.terminals.verification_port import NoCloud
from csms.web.api.api import Api, problems
from csms.web.calendar_feeds import CalendarFeeds
from csms.web.health import health_routes
from csms.web.receipts import ReceiptPages
from csms.web.uploads import StationFiles
from sessions.clock import Clock, SystemClock
from sessions.directory_sql import SqlDirectory
from sessions.doers import Doers
from sessions.outbox import Outbox
from sessions.ports import TerminalPort
from sessions.service import Service
from storage.engine import async_url, create_engine, make_folder
from storage.upgrade import require_newest, upgrade

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 256 * 1024
#: A request's first line, and each header. What is longer is refused below the API, which could say more of it.
MAX_LINE_BYTES = 64 * 1024


class App:
    """A running central system: one process, one database, one port for stations and one for HTTP."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock(settings.clock_speed, settings.clock_anchor)
        self.engine = create_engine(settings.database_url)
        self.directory = SqlDirectory(self.engine, self.clock)
        self._http_socket = _listen(settings.http.host, settings.http.port)
        self.http_port: int = self._http_socket.getsockname()[1]
        self.public_url = _with_port(settings.http.public_url, self.http_port, assigned=settings.http.port == 0)
        self.service = Service(
            self.engine,
            self.clock,
            settings.policy(),
            node=settings.node,
            issuer_id=settings.issuer.issuer_id,
            public_url=self.public_url,
            keepers=keepers(),
        )
        self.frame_log = FrameLog(
            self.engine,
            self.clock.now,
            enabled=settings.ocpp.log_frames,
            keep=timedelta(seconds=settings.ocpp.log_frames_s),
        )
        self.ocpp = OcppServer(
            ocpp_options(settings), self.service, self.directory, self.clock.now, self.frame_log.note
        )
        self.stations = OcppStationPort(self.ocpp)
        self._waiters = Waiters()
        self.processors = processors(settings, self.engine)
        self.bridge = self._bridge(settings.payter) if settings.payter else None
        terminals: TerminalPort = self.bridge.port if self.bridge else NoTerminals()
        self.built_in = built_in(
            sample_interval_s=settings.ocpp.meter_sample_interval_s,
            connection_timeout_s=settings.sessions.connection_timeout_s,
        )
        doers = Doers(
            self.service,
            self.engine,
            self.clock,
            stations=self.stations,
            terminals=terminals,
            retry_delay_s=retry_delay_s,
        )
        doers.add(CallStation, CallDoer(self.service, self.stations, self.clock.now, self._waiters))
        doers.add(
            RotatePassword,
            PasswordDoer(self.service, self.engine, self.stations, hash_password, self.clock.now, self._waiters),
        )
        signing = authority_settings(settings)
        doers.add(SignCertificate, SigningDoer(self.service, self.engine, signing, delivery_call, self.clock.now))
        doers.add(RenewCertificate, RenewalDoer(self.service, self.engine, renewal_call, self.clock.now))
        doers.add(
            CheckConfiguration,
            ConfigurationDoer(
                self.service,
                self.engine,
                OcppConfigurator(self.ocpp),
                self.clock.now,
                base=self.built_in,
                every=timedelta(seconds=settings.ocpp.configuration_check_s),
                enabled=settings.ocpp.configure_stations,
            ),
        )
        costs = CostDisplayDoer(
            self.service,
            self.engine,
            OcppCostPort(self.ocpp, self.public_url),
            OcppConfigurator(self.ocpp),
            self.clock.now,
            enabled=settings.ocpp.configure_stations,
        )
        doers.add(FindCostDisplay, costs.find)
        doers.add(ShowPrice, costs.price)
        doers.add(ShowCost, costs.running)
        doers.add(ShowFinalCost, costs.final)
        self.rounds = RoundDoer(
            self.service,
            self.engine,
            self.clock.now,
            RoundTimes(zone=ZoneInfo(settings.rounds.time_zone), at=settings.rounds.at),
            steps(),
        )
        doers.add(MakeRound, self.rounds)
        doers.add(RemindOfNotice, NoticeDoer(self.service, self.engine, self.clock.now))
        keep_trying = timedelta(days=settings.care.reminder_days)
        self.mail = MailDoer(self.service, self.engine, self.clock.now, mail_options(settings), keep_trying)
        doers.add(SendReminder, self.mail)
        self.alarms = AlarmDoer(self.service, self.engine, self.clock.now, settings.care.thresholds())
        doers.add(WatchForAlarms, self.alarms)
        doers.add(CloseStatements, StatementDoer(self.service, self.engine, self.clock.now))
        self._onboarding(doers)
        doers.add(
            ReconcileAccount,
            ReconciliationDoer(
                self.service,
                self.engine,
                self.clock.now,
                DataApi(self._data_api_credentials, page_rows=settings.reconciliation.page_rows),
                settings.reconciliation.rules_for,
            ),
        )
        notices = mail_by(mail_options(settings), self.clock.now)
        doers.add(SendProviderNotice, ProviderNoticeDoer(self.service, self.engine, self.clock.now, notices))
        self.files = FileStore(
            self.engine,
            self.clock.now,
            folder=settings.files.folder,
            max_bytes=settings.files.max_bytes,
            keep=timedelta(days=settings.files.keep_days),
        )
        self.api = Api(
            engine=self.engine,
            service=self.service,
            ocpp=self.ocpp,
            waiters=self._waiters,
            frame_log=self.frame_log,
            built_in=self.built_in,
            files=self.files,
            link_lifetime=timedelta(hours=settings.files.link_lifetime_h),
            onboarding=onboarding_options(settings),
            now=self.clock.now,
            public_url=self.public_url,
            photo_bytes=settings.care.photo_bytes,
            serial_patterns=settings.inventory.serial_patterns,
            licence_grace_days=settings.licences.grace_days,
            processors=self.processors,
            debtor=settings.payouts.debtor(settings.issuer.name),
            wake=self._wake_terminal,
            reconciliation=ReconciliationOptions(
                platform=settings.issuer.name,
                contact=settings.issuer.email,
                domain=settings.reconciliation.data_api_domain,
                provider_email=settings.reconciliation.provider_email,
                max_bytes=settings.reconciliation.max_bytes,
            ),
        )
        if self.bridge is not None:
            self.api.probe = self.bridge.probe
        self.outbox = Outbox(self.engine, self.clock, node=settings.node, do=doers, lane_of=doers.lane)
        self.service.on_commands = self.outbox.take
        self._http: web.AppRunner | None = None

    def _onboarding(self, doers: Doers) -> None:
        """What verifies terminals before they go live."""
        cloud = self.bridge.verification if self.bridge else NoCloud()
        probe = self.bridge.callback_probe if self.bridge else NoCloud()
        checks = Checks(self.engine, cloud, probe, self.clock.now, self.processors.platform)
        doers.add(CheckCase, CheckDoer(self.service, checks, self.clock.now, self._waiters))
        trials = TrialDoers(
            self.service,
            self.engine,
            cloud,
            self.clock.now,
            retry_delay_s=retry_delay_s,
            wake=self._wake_terminal,
        )
        doers.add(ArmTrial, trials.arm)
        doers.add(AwaitTrialCard, trials.wait)
        doers.add(HoldTrial, trials.hold)
        doers.add(LookUpTrial, trials.look_up)
        doers.add(ReleaseTrial, trials.release)

    def _wake_terminal(self, serial: str) -> None:
        """Something changed for it; without a bridge, nobody keeps terminals."""
        if self.bridge is not None:
            self.bridge.wake(serial)

    def _bridge(self, payter: PayterSettings) -> Bridge:
        options = PayterOptions(
            base_url=payter.base_url,
            api_key=payter.api_key.get_secret_value() if payter.api_key else "",
            public_callback_base=payter.callback_base or self.public_url,
            callback_secret=payter.callback_secret.get_secret_value(),
            card_hash_key=payter.card_hash_key.get_secret_value(),
            receipt_url_prefix=f"{self.public_url}/r/",
            connect_timeout_s=payter.connect_timeout_s,
            read_timeout_s=payter.read_timeout_s,
            card_poll_wait_s=payter.card_poll_s,
            status_poll_s=payter.status_poll_s,
        )
        trials = TrialCallbacks(self.engine, self.service.submit, self.clock.now)
        return Bridge(options, self.service, self.directory, self.clock.now, self.processors, trials=trials)

    async def _data_api_credentials(self, account_id: str) -> DataApiCredentials | None:
        """The platform's stand in the settings, an own processor's in the vault."""
        if account_id:
            own = await self.processors.data_api(account_id)
            if own is None:
                return None
            return DataApiCredentials(
                base_url=own.data_url, username=own.user, password=own.password, domain=own.domain
            )
        r = self.settings.reconciliation
        if not r.data_api_username:
            return None
        return DataApiCredentials(
            base_url=r.data_api_url,
            username=r.data_api_username,
            password=r.data_api_password.get_secret_value() if r.data_api_password else "",
            domain=r.data_api_domain,
        )

    async def start(self) -> None:
        """Database first, then what writes to it, then the doors. Raises `SchemaError`, OSError."""
        await prepare_database(self)
        await provision(self.engine, self.settings, self.clock.now())
        await reseal(self.engine, self.processors.vault)
        await close_what_a_crash_left(self.engine, self.settings.node, self.clock.now())
        await self.service.start()
        await self.frame_log.start()
        await self.files.start()
        await self._open_authority()
        try:
            await self.ocpp.start()
        except OSError as error:
            raise OSError(f"cannot listen for stations ({error}); see ocpp.host and the ports under ocpp") from error
        except TlsError as error:
            raise SettingsError(f"ocpp.certificates, ocpp.mutual_tls: {error}.") from error
        await self._serve_http()
        await self.outbox.start()
        await self.rounds.begin()
        await self.mail.begin()
        await self.alarms.begin()
        if self.bridge is not None:
            await self.bridge.start()
        log.info("stations: ports %s; HTTP: port %s, seen as %s", self.ocpp.ports, self.http_port, self.public_url)

    async def _open_authority(self) -> None:
        """The operator's own certificate authority: its stations come to the door with mutual TLS."""
        settings = authority_settings(self.settings)
        if settings is None:
            return
        try:
            authority = await ensure_authority(self.engine, settings, self.clock.now())
        except CertificateUnusable as error:
            raise SettingsError(f"authority.passphrase: {error}") from error
        self.ocpp.own_ca_pem = authority.root_pem + authority.issuing_pem

    async def stop(self) -> None:
        """Close the doors, finish what is in hand, let go of the database. Nothing is lost that was answered."""
        await self.ocpp.stop()
        await self.frame_log.stop()  # live followers are told the end, so that HTTP need not wait for them
        if self._http is not None:
            await self._http.cleanup()
        await self.files.stop()
        await self.outbox.stop()
        if self.bridge is not None:
            await self.bridge.stop()
        await self.service.stop()
        await self.engine.dispose()
        self._http_socket.close()

    async def _serve_http(self) -> None:
        routes: Sequence[web.RouteDef] = [
            *health_routes(self.engine),
            *ReceiptPages(self.engine, self.clock).routes(),
            *StationFiles(self.engine, self.service, self.files, self.clock.now).routes(),
            *CalendarFeeds(self.engine, self.clock.now, self.public_url, calendars()).routes(),
            *(self.bridge.routes() if self.bridge else ()),
            *self.api.routes(),
        ]
        app = web.Application(client_max_size=MAX_REQUEST_BYTES, middlewares=[problems])
        app.add_routes(routes)
        self._http = web.AppRunner(
            app,
            access_log_class=RedactingAccessLogger,
            logger=http_log,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            shutdown_timeout=1,
        )
        await self._http.setup()
        await web.SockSite(self._http, self._http_socket).start()

    @property
    def ocpp_url(self) -> str:
        """Where a station on this machine connects without TLS; its identity is added."""
        return f"ws://127.0.0.1:{self.ocpp.port}{self.settings.ocpp.path}"

    @property
    def ocpp_urls(self) -> dict[int, str]:
        """Where stations connect, by security profile."""
        host, path = self.settings.ocpp.host, self.settings.ocpp.path
        return {n: f"{'ws' if n == PLAIN else 'wss'}://{host}:{port}{path}" for n, port in self.ocpp.ports.items()}


async def prepare_database(app: App) -> None:
    """The embedded database is brought up to date by itself; a server's is only checked (`tapvolt db upgrade`)."""
    url = app.settings.database_url
    if async_url(url).get_backend_name() == "sqlite":
        make_folder(url)
        await upgrade(app.engine)
    else:
        await require_newest(app.engine)


@contextlib.asynccontextmanager
async def running(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[App]:
    """An `App` from start to stop."""
    app = App(settings, clock=clock)
    try:
        await app.start()
        yield app
    finally:
        await app.stop()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise OSError(
            f"cannot listen for HTTP on {host}:{port} ({error.strerror}); see http.host and http.port"
        ) from error


def _with_port(url: str, port: int, *, assigned: bool) -> str:
    """``url`` with the port the system assigned, when one was asked for with 0."""
    if not assigned:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.hostname}:{port}"))
